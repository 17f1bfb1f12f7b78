import GLENPlatform

/// What can go wrong while reading data, training and evaluating.
///
/// Every description reads "operation: what is wrong; expected ..., got ...; what to do".
public enum TrainingError: Error, Sendable, Equatable {
  // MARK: Data

  /// A file or folder that the operation needs does not exist.
  case fileNotFound(path: String, expected: String)
  /// A file exists and cannot be read to its end, for instance because its gzip data is cut off.
  case unreadableFile(path: String, reason: String)
  /// A file cannot be written.
  case unwritableFile(path: String, reason: String)
  /// A file that must have at least one entry has none.
  case emptyFile(path: String, expected: String)
  /// One line of a file does not follow the file's format.
  case malformedLine(path: String, line: Int, expected: String, got: String)
  /// An identifier is used by two lines of one file, or one judgement is given two grades.
  case duplicateIdentifier(path: String, line: Int, identifier: String)
  /// A judgement names a query or a document that the dataset does not have.
  case unknownIdentifier(path: String, line: Int, kind: String, identifier: String)
  /// The dataset has no judgements of that name.
  case missingSplit(split: String, path: String, available: [String])

  // MARK: Evaluation

  /// A run that no evaluation accepts, such as one that ranks a document twice for one query.
  case invalidRun(problem: String, expected: String, got: String)
  /// An index and a corpus that do not belong together.
  case otherCorpus(problem: String)
  /// A metric name that does not parse.
  case unknownMetric(name: String, known: [String])

  // MARK: Training

  /// A recipe with an unknown key, or a value out of range.
  case recipe(path: String, reason: String)
  /// A loss, or a norm of gradients, that is not a number or beyond the recipe's limit.
  ///
  /// `step` counts the updates before, `what` has the value, `examples` the batch in words.
  case diverged(phase: String, step: Int, what: String, examples: String)
  /// A weight that is not a number, in a model that was to be saved.
  case notFinite(weight: String)
  /// A checkpoint that does not belong to this training, or none where one is needed.
  case checkpoint(path: String, reason: String)
  /// Another run is at work in the folder.
  case folderInUse(path: String)
  /// Data that cannot be trained on.
  case trainingData(reason: String)
  /// A file of identifiers lacks a document's.
  case missingIdentifier(document: String)
}

extension TrainingError: CustomStringConvertible {
  /// The error as one line of text.
  public var description: String {
    switch self {
    case .fileNotFound(let path, let expected):
      "reading data: there is no \(path); expected \(expected), got nothing; check the path"
    case .unreadableFile(let path, let reason):
      "reading \(path): the file cannot be read; expected readable data, got \(reason); "
        + "check the file or copy it again"
    case .unwritableFile(let path, let reason):
      "writing \(path): the file cannot be written; expected a writable place, got \(reason); "
        + "choose another path or make room"
    case .emptyFile(let path, let expected):
      "reading \(path): the file has no entries; expected \(expected), got none; check the file"
    case .malformedLine(let path, let line, let expected, let got):
      "reading \(path): line \(line) is malformed; expected \(expected), got \(got); "
        + "fix the line; of a corpus --malformed-limit passes over some (malformedLineLimit)"
    case .duplicateIdentifier(let path, let line, let identifier):
      "reading \(path): line \(line) repeats an earlier entry; expected every identifier once, "
        + "got '\(identifier)' again; remove or rename one of the two"
    case .unknownIdentifier(let path, let line, let kind, let identifier):
      "reading \(path): line \(line) names an unknown \(kind); expected the identifier of a "
        + "\(kind) of the dataset, got '\(identifier)'; complete the dataset, or skip such rows "
        + "(skipsUnknownJudgements; on the command line --skip-unknown)"
    case .missingSplit(let split, let path, let available):
      "reading \(path): there is no split '\(split)'; expected "
        + (available.isEmpty
          ? "a file qrels/\(split).tsv, got no splits at all; add that file"
          : "one of \(available.joined(separator: ", ")), got '\(split)'; choose one of these")
    case .recipe(let path, let reason), .checkpoint(let path, let reason): "\(path): \(reason)"
    case .diverged(let phase, let step, let what, let examples):
      "training: the \(phase) phase diverged at step \(step); expected finite numbers within the "
        + "recipe's limits, got \(what) in \(examples); look at these examples, or choose a lower "
        + "learning rate, or clippingNorm: the checkpoint, if there is one, is of an earlier step and sound"
    case .notFinite(let weight):
      "training: the weight \(weight) is not finite; expected numbers, got NaN or an infinity; "
        + "nothing was saved: resume from the checkpoint, if there is one, with a lower learning rate"
    case .folderInUse(let path):
      "training: another run is at work in \(path); expected a folder of its own for each, got one that "
        + "is in use; wait for the other to end, or choose another folder"
    case .trainingData(let reason): "training: \(reason)"
    case .missingIdentifier(let document):
      "reading identifiers: the document '\(document)' has none; expected a line for every document, got "
        + "none for this one; complete the file of identifiers"
    case .invalidRun(let problem, let expected, let got):
      "evaluating a run: \(problem); expected \(expected), got \(got); correct the run"
    case .otherCorpus(let problem):
      "evaluating an index: \(problem); expected the index of this corpus, got that of another; index "
        + "this corpus, or give the one that was indexed"
    case .unknownMetric(let name, let known):
      "choosing metrics: there is no metric '\(name)'; expected \(known.joined(separator: ", ")), "
        + "with a cutoff as in 'R@10', got '\(name)'; choose one of these"
    }
  }
}

extension TrainingError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}
