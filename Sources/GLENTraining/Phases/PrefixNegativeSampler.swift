import GLENTensor

/// Prefix-aware dynamic negatives: documents whose current identifiers share the longest prefix
/// with the positive's.
///
/// The table follows training exactly: when a document is seen again, it leaves its old prefixes
/// and joins its new ones.
///
/// - Complexity: an update takes n dictionary operations; a draw takes time in proportion to the
///   negatives that are wanted, not to the size of the prefix's bucket.
public struct PrefixNegativeSampler: Sendable {
  private struct Bucket: Sendable {
    var documents: [Int32] = []
  }

  private let documentCount: Int
  private let identifierLength: Int
  /// Each document's identifier, -1 where it is not known yet.
  private var identifiers: [Int32]
  private var buckets: [[Int32]: Bucket] = [:]
  /// Where each document stands in the bucket of each of its prefixes.
  private var places: [Int32]

  /// A sampler that has seen no document yet.
  public init(documentCount: Int, identifierLength: Int) {
    self.documentCount = documentCount
    self.identifierLength = identifierLength
    identifiers = [Int32](repeating: -1, count: documentCount * identifierLength)
    places = identifiers
  }

  /// The current identifiers, n tokens a document, -1 where unknown.
  public var table: [Int32] { identifiers }

  /// What a checkpoint keeps: the identifiers, and each document's place in its buckets, because
  /// what a draw gives depends on the order there.
  public var state: [Int32] { identifiers + places }

  /// Goes on from the `state` of a sampler of the same size; a state of another size is left out.
  public mutating func restore(_ state: [Int32]) {
    let size = documentCount * identifierLength
    guard state.count == 2 * size else { return }
    self = PrefixNegativeSampler(documentCount: documentCount, identifierLength: identifierLength)
    identifiers = Array(state[..<size])
    for document in 0..<documentCount {
      guard let own = identifier(of: document) else { continue }
      for length in 1...identifierLength {
        buckets[Array(own.prefix(length)), default: Bucket()].documents.append(Int32(document))
      }
    }
    for (prefix, bucket) in buckets {
      let level = prefix.count - 1
      // Of equal places, which only a damaged state has, the lower document is first.
      let order = bucket.documents.sorted {
        let (left, right) = (
          state[size + Int($0) * identifierLength + level],
          state[size + Int($1) * identifierLength + level]
        )
        return left == right ? $0 < $1 : left < right
      }
      buckets[prefix] = Bucket(documents: order)
      for (place, document) in order.enumerated() {
        places[Int(document) * identifierLength + level] = Int32(place)
      }
    }
  }

  /// The current identifier of a document, or nil if it has not been seen.
  public func identifier(of document: Int) -> [Int32]? {
    let own = identifiers[document * identifierLength..<(document + 1) * identifierLength]
    return own.first == -1 ? nil : Array(own)
  }

  /// Replaces a document's identifier.
  public mutating func update(_ document: Int, identifier: ArraySlice<Int32>) {
    let start = document * identifierLength
    guard identifier.count == identifierLength,
      !identifiers[start..<start + identifierLength].elementsEqual(identifier)
    else { return }
    if let old = self.identifier(of: document) {
      for length in 1...identifierLength { leave(document, Array(old.prefix(length))) }
    }
    identifiers.replaceSubrange(start..<start + identifierLength, with: identifier)
    for length in 1...identifierLength {
      let prefix = Array(identifier.prefix(length))
      places[start + length - 1] = Int32(buckets[prefix]?.documents.count ?? 0)
      buckets[prefix, default: Bucket()].documents.append(Int32(document))
    }
  }

  /// Draws negatives for a positive document.
  ///
  /// - Parameters:
  ///   - count: how many; fewer are returned only if the corpus has no more.
  ///   - excluded: the query's positives.
  ///   - usesPrefixes: false draws at random (an ablation).
  public func negatives(
    for positive: Int, count: Int, excluding excluded: Set<Int>, usesPrefixes: Bool = true,
    using generator: inout SeededGenerator
  ) -> [Int] {
    var taken = excluded.union([positive])
    var chosen: [Int] = []
    if usesPrefixes, let own = identifier(of: positive) {
      var length = identifierLength
      while length > 0 && chosen.count < count {
        let bucket = buckets[Array(own.prefix(length))]?.documents ?? []
        draw(
          count - chosen.count, from: bucket.count, { Int(bucket[$0]) }, &taken, &chosen,
          using: &generator)
        length -= 1
      }
    }
    draw(count - chosen.count, from: documentCount, { $0 }, &taken, &chosen, using: &generator)
    return chosen
  }

  /// Draws without replacement: by trial where the bucket is much larger than what is wanted,
  /// otherwise by a shuffle.
  private func draw(
    _ wanted: Int, from size: Int, _ element: (Int) -> Int, _ taken: inout Set<Int>,
    _ chosen: inout [Int], using generator: inout SeededGenerator
  ) {
    guard wanted > 0 else { return }
    let goal = chosen.count + wanted
    if size > 4 * (wanted + taken.count) {
      while chosen.count < goal {
        let candidate = element(Int.random(in: 0..<size, using: &generator))
        if taken.insert(candidate).inserted { chosen.append(candidate) }
      }
      return
    }
    let candidates = (0..<size).map(element).filter { !taken.contains($0) }
    for candidate in candidates.shuffled(using: &generator).prefix(wanted) {
      taken.insert(candidate)
      chosen.append(candidate)
    }
  }

  /// Takes a document out of a bucket; the last one takes its place.
  private mutating func leave(_ document: Int, _ prefix: [Int32]) {
    let level = prefix.count - 1
    let place = Int(places[document * identifierLength + level])
    guard var bucket = buckets.removeValue(forKey: prefix) else { return }
    let last = bucket.documents.removeLast()
    if Int(last) != document {
      bucket.documents[place] = last
      places[Int(last) * identifierLength + level] = Int32(place)
    }
    if !bucket.documents.isEmpty { buckets[prefix] = bucket }
  }
}
