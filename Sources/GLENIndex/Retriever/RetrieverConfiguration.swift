/// How much of the machine a ``Retriever`` takes, and how its callers are batched.
public struct RetrieverConfiguration: Sendable, Hashable {
  /// The most threads that share a piece of work; nil for one a processor.
  ///
  /// A piece of work is ranking the questions of a batch, scanning a table of a million identifiers or
  /// more, and, where a retriever opens its model without being handed a backend, an operation of the
  /// model. Each question of a batch may divide its scan again, so several questions on a large index
  /// can keep more threads busy than this, but never more than the machine has processors.
  public var threadCount: Int?

  /// The most questions that are encoded together; larger batches gain little.
  public var maximumBatchCount: Int

  /// How long the model, free again after a batch, waits for the callers that it just answered.
  ///
  /// It ends as soon as as many questions are there as the last batch and those who waited behind
  /// it. A caller who finds the model idle never waits. Zero joins only those who ask while the
  /// model is busy.
  public var batchLatency: Duration

  /// The most bytes that the score tables of one batch may take; one question always fits.
  ///
  /// A question needs three tables of 4 n V bytes while it is encoded, 1.2 MB with T5's vocabulary
  /// and n = 3. The index itself is mapped and costs no memory of its own.
  public var memoryBudget: Int

  /// All processors, 64 questions, 2 ms and 256 MB, but for what is given.
  public init(
    threadCount: Int? = nil, maximumBatchCount: Int = 64,
    batchLatency: Duration = .milliseconds(2), memoryBudget: Int = 256 << 20
  ) {
    self.threadCount = threadCount
    self.maximumBatchCount = maximumBatchCount
    self.batchLatency = batchLatency
    self.memoryBudget = memoryBudget
  }

  /// How many questions of n steps and V tokens are encoded together, at least one.
  func batchLimit(identifierLength: Int, vocabularySize: Int) -> Int {
    let tokens = max(identifierLength, 1).multipliedReportingOverflow(by: max(vocabularySize, 1))
    let bytes = tokens.partialValue.multipliedReportingOverflow(by: 12)
    guard !tokens.overflow, !bytes.overflow else { return 1 }
    return max(1, min(maximumBatchCount, memoryBudget / bytes.partialValue))
  }
}
