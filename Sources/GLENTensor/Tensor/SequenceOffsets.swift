/// Where each sequence begins in a packed batch: sequences lie end to end, without padding.
///
/// Sequence s takes rows `offsets[s] ..< offsets[s + 1]` of every packed tensor.
public struct SequenceOffsets: Sendable {
  /// The first row of every sequence, and the number of rows at the end.
  public let offsets: [Int32]
  /// The longest sequence's length.
  public let longest: Int
  /// The offsets on the backend.
  public let storage: Storage

  /// Offsets for sequences of the given lengths.
  ///
  /// - Throws: `TensorError.invalidArgument` if a sequence is empty or the rows do not fit Int32.
  public init(
    lengths: [Int], on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) {
    var offsets: [Int32] = [0]
    offsets.reserveCapacity(lengths.count + 1)
    var total = 0
    for (index, length) in lengths.enumerated() {
      guard length > 0 else {
        throw .invalidArgument(
          operation: "SequenceOffsets", reason: "sequence \(index) is empty; give it an end token")
      }
      let (sum, overflow) = total.addingReportingOverflow(length)
      total = sum
      guard !overflow, let offset = Int32(exactly: total) else {
        throw .invalidArgument(
          operation: "SequenceOffsets", reason: "over \(Int32.max) rows; use a smaller batch")
      }
      offsets.append(offset)
    }
    self.offsets = offsets
    longest = lengths.max() ?? 0
    storage = try Storage(byteCount: offsets.count * 4, on: backend)
    offsets.withUnsafeBytes { backend.upload($0, to: Region(storage)) }
  }

  /// The number of sequences.
  public var count: Int { offsets.count - 1 }
  /// The number of rows of one sequence.
  func length(of index: Int) -> Int { Int(offsets[index + 1] - offsets[index]) }
  /// The number of rows of all sequences together.
  public var totalLength: Int { Int(offsets[offsets.count - 1]) }
}
