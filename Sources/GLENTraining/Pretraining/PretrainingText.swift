import GLENIndex
import GLENPlatform
import GLENText

/// Text to pre-train on: passages, and questions that one of them answers.
public struct PretrainingText: Sendable {
  /// The passages in the order of their files; no two have one id.
  public private(set) var passages: [Document] = []
  /// Questions with the text that answers each.
  public private(set) var questions: [(question: String, answer: String)] = []
  /// Questions that were left out, because no passage is named or the one named is not here.
  public private(set) var unansweredQuestionCount = 0

  /// Reads files of JSON lines, plain or gzip-compressed.
  ///
  /// A line `{"_id", "text", "title"}` is a passage, as in BEIR's `corpus.jsonl`. One with a member
  /// `passage` or `answer` is a question: `passage` is a passage's `_id`, or the answering text
  /// itself. A member `source` says what a line was taken from.
  ///
  /// - Parameter excludedSources: sources whose lines are passed over.
  /// - Throws: `TrainingError` with file and line; `.trainingData` if there is no passage at all.
  public init(
    contentsOf urls: [URL], excludingSources excludedSources: Set<String> = []
  ) throws(TrainingError) {
    var positions: [ExactText: Int] = [:]
    var asked: [(question: String, passage: String?)] = []
    for url in urls {
      var file = DatasetFile(url, malformedLineLimit: 0)
      try file.forEachRow { line, _ throws(LineProblem) in
        try Line(line)
      } _: { line, number throws(TrainingError) in
        if let source = line.source, excludedSources.contains(source) { return }
        if line.isQuestion {
          asked.append((line.entry.text, line.passage))
          return
        }
        guard positions.updateValue(passages.count, forKey: ExactText(line.entry.id)) == nil else {
          throw .duplicateIdentifier(path: url.path, line: number, identifier: line.entry.id)
        }
        passages.append(
          Document(id: line.entry.id, title: line.entry.title, text: line.entry.text))
      }
    }
    guard !passages.isEmpty else {
      throw .trainingData(
        reason: "the text has no passages; expected lines {\"_id\": ..., \"text\": ...}")
    }
    for (question, passage) in asked {
      if let passage, let position = positions[ExactText(passage)] {
        questions.append((question, passages[position].fullText))
      } else if let passage, passage.contains(" ") {
        questions.append((question, passage))
      } else {
        unansweredQuestionCount += 1
      }
    }
  }

  /// One line of a file.
  private struct Line {
    var entry: DatasetEntry
    var passage: String?
    var source: String?
    var isQuestion = false

    init(_ bytes: [UInt8]) throws(LineProblem) {
      entry = try DatasetEntry(line: bytes)
      var (passage, source): (String?, String?)
      var isQuestion = false
      var parser = JSONLineParser(bytes)
      try parser.parseObject { name, value in
        if name == "source", case .string(let text) = value { source = text }
        guard name == "passage" || name == "answer" else { return }
        isQuestion = true
        if name == "passage", case .string(let text) = value { passage = text }
      }
      (self.passage, self.source, self.isQuestion) = (passage, source, isQuestion)
    }
  }
}
