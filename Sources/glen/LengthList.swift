import ArgumentParser

/// The lengths of a batch's sequences: one for all, or several that are taken in turn, as in `12,7,30`.
struct LengthList: ExpressibleByArgument {
  let lengths: [Int]

  /// One length for all.
  init(_ length: Int) { lengths = [length] }

  init?(argument: String) {
    let lengths = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard !lengths.isEmpty, lengths.allSatisfy({ (1...4096).contains($0 ?? 0) }) else { return nil }
    self.lengths = lengths.compactMap { $0 }
  }

  var defaultValueDescription: String { lengths.map(String.init).joined(separator: ",") }

  /// The length of a sequence.
  subscript(index: Int) -> Int { lengths[index % lengths.count] }
}
