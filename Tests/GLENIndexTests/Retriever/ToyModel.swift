import Foundation
import GLENModel
import GLENTensor
import GLENText
import Testing

@testable import GLENIndex

/// Model folders with random weights and a vocabulary of a few dozen pieces.
enum ToyModel {
  /// A line on each of some subjects.
  static let documents: [Document] = {
    let subjects = [
      "bees", "rivers", "clocks", "violins", "glaciers", "bridges", "spiders", "lanterns",
      "harbours", "mushrooms", "comets", "looms",
    ]
    let lines = [
      "old and slow, and seen by few", "made by hand in small towns",
      "found in the north, where winters are long", "loud at night and quiet by day",
    ]
    return subjects.enumerated().flatMap { index, subject in
      lines.enumerated().map { number, line in
        Document(
          id: "\(subject)-\(number)", title: number % 2 == 0 ? subject : "",
          text: "The \(subject) of which we speak are \(line)\(index).")
      }
    }
  }()

  static let questions = [
    "what is seen by few", "where are violins made", "loud spiders", "glaciers in the north?", "",
    "x",
  ]

  static func configuration(vocabularySize: Int) -> T5Configuration {
    var c = T5Configuration()
    c.vocabularySize = vocabularySize
    (c.width, c.headWidth, c.feedForwardWidth, c.heads) = (16, 8, 32, 2)
    (c.encoderLayers, c.decoderLayers) = (1, 1)
    return c
  }

  private static let vocabulary = Result {
    try withTemporaryFolder { folder in
      try SentencePieceTokenizer.train(
        sentences: documents.map(\.fullText), vocabularySize: 90,
        to: folder.appendingPathComponent("spiece.model"), lowercased: true)
    }
  }

  /// Writes a model; `edit` changes the network before it is saved.
  static func write(
    to url: URL, seed: UInt64 = 1, length: Int = 3, edit: (inout T5Model) throws -> Void = { _ in }
  ) throws {
    let tokenizer = try vocabulary.get()
    let rows = (tokenizer.pieceCount / 16 + 1) * 16
    var model = try T5Model(
      random: configuration(vocabularySize: rows), key: RandomKey(seed: seed))
    try edit(&model)
    try model.save(to: url)
    try tokenizer.modelData.write(to: url.appendingPathComponent("spiece.model"))
    try IdentifierSettings(
      identifierLength: length, maximumQueryLength: 12, maximumDocumentLength: 24,
      maskedTokens: IdentifierSettings.maskedTokens(
        pieceCount: tokenizer.pieceCount, vocabularySize: rows)
    ).save(to: url)
  }

  static func folder(
    in parent: URL, seed: UInt64 = 1, edit: (inout T5Model) throws -> Void = { _ in }
  ) throws -> ModelFolder {
    let url = parent.appendingPathComponent("model-of-seed-\(seed)")
    try write(to: url, seed: seed, edit: edit)
    return try ModelFolder(opening: url)
  }

  static func retriever(in parent: URL, seed: UInt64 = 1) throws -> Retriever {
    try Indexer(model: folder(in: parent, seed: seed)).index(documents)
  }

  /// The names of all files below a folder, and what they hold.
  static func contents(of url: URL) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: url.path) {
      let file = url.appendingPathComponent(name)
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder)
      result[name] = isFolder.boolValue ? Data() : try Data(contentsOf: file)
    }
    return result
  }
}

extension [String: Data] {
  /// All but the manifest, which counts the commits.
  var withoutManifest: [String: Data] { filter { $0.key != "manifest.json" } }
}

extension Retriever {
  /// The model folder, which a retriever over a toy model has.
  var toyModel: ModelFolder { get throws { try #require(model) } }
}
