import GLENPlatform
import GLENTensor

/// Writes runs in TREC's format: `query Q0 document rank score tag`, ranks from 1.
///
/// TREC's tools ignore the rank column: they sort a query's documents by score, read as a 32-bit
/// float, and documents of equal score by identifier, the greater one first. Documents that share
/// a GLEN identifier share its score, so equal scores are usual here, and their order carries
/// meaning. The writer therefore writes scores that strictly decrease as 32-bit floats: the true
/// score where it is below the score written for the rank before, and otherwise the greatest float
/// below that one (`nextDown`). A run read back has the same order, and scores that differ by a few
/// units in the last place among equals.
public struct RunWriter: Sendable {
  /// The name of the run, the last column.
  public let tag: String

  /// Creates a writer.
  ///
  /// - Parameter tag: The name of the run, without white space.
  /// - Throws: `TrainingError.invalidRun` when the tag is empty or has white space.
  public init(tag: String = "glen") throws(TrainingError) {
    self.tag = try Self.column(tag, kind: "tag")
  }

  /// Checks, before anything is ranked, that a run of these queries over these documents can be
  /// written.
  ///
  /// - Throws: `TrainingError` when the file cannot be written, or an identifier is empty or has white
  ///   space, whether a query will find that document or not.
  public func check(
    queries: some Sequence<String>, documents: some Sequence<String>, to url: URL
  ) throws(TrainingError) {
    do {
      try AtomicFile.checkWritable(url)
    } catch TensorError.file(_, let reason) {
      throw .unwritableFile(path: url.path, reason: reason)
    } catch {
      throw .unwritableFile(path: url.path, reason: String(describing: error))
    }
    for query in queries { _ = try Self.column(query, kind: "query identifier") }
    for document in documents { _ = try Self.column(document, kind: "document identifier") }
  }

  /// Writes a run to a file, which it replaces when all of it is written.
  ///
  /// - Throws: `TrainingError` when the file cannot be written, a score is not finite, or an
  ///   identifier is empty or has white space.
  public func write(_ run: Run, to url: URL) throws(TrainingError) {
    do {
      try AtomicFile.write(to: url) { append in
        for ranking in run.rankings {
          var text = try lines(of: ranking)
          try text.withUTF8 { try append(UnsafeRawBufferPointer($0)) }
        }
      }
    } catch let error as TrainingError {
      throw error
    } catch TensorError.file(_, let reason) {
      throw .unwritableFile(path: url.path, reason: reason)
    } catch {
      throw .unwritableFile(path: url.path, reason: String(describing: error))
    }
  }

  /// The lines of one ranking, each with its line end.
  ///
  /// - Throws: `TrainingError.invalidRun` when a score is not finite, or an identifier is empty or
  ///   has white space.
  public func lines(of ranking: RankedList) throws(TrainingError) -> String {
    let query = try Self.column(ranking.query, kind: "query identifier")
    let scores = try Self.writtenScores(of: ranking)
    var lines = ""
    for (position, (document, score)) in zip(ranking.documents, scores).enumerated() {
      let id = try Self.column(document.id, kind: "document identifier")
      lines += "\(query) Q0 \(id) \(position + 1) \(Self.text(of: score)) \(tag)\n"
    }
    return lines
  }

  /// The scores to write for a ranking: strictly decreasing, and the true ones where they are.
  static func writtenScores(of ranking: RankedList) throws(TrainingError) -> [Float] {
    var scores: [Float] = []
    scores.reserveCapacity(ranking.documents.count)
    for document in ranking.documents {
      let score = min(document.score, scores.last?.nextDown ?? document.score)
      guard document.score.isFinite, score.isFinite else {
        throw .invalidRun(
          problem: "query '\(ranking.query)' has a score that no run can hold",
          expected: "finite scores", got: "\(document.score) for document '\(document.id)'")
      }
      scores.append(score)
    }
    return scores
  }

  /// The shortest decimal that gives the score back when it is read as a double and then rounded.
  ///
  /// The shortest decimal for a float is meant to be read as a float at once; TREC's tools read a
  /// double first, which on rare values rounds to the float's neighbour.
  static func text(of score: Float) -> String {
    let short = String(describing: score)
    return Double(short).map { Float($0) } == score ? short : String(describing: Double(score))
  }

  private static func column(_ text: String, kind: String) throws(TrainingError) -> String {
    guard !text.isEmpty, !text.unicodeScalars.contains(where: \.properties.isWhitespace) else {
      throw .invalidRun(
        problem: "a \(kind) does not fit a column of a run", expected: "text without white space",
        got: "'\(text)'")
    }
    return text
  }
}
