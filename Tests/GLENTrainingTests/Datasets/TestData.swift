import Foundation

/// Where the tests find data.
enum TestData {
  /// The folder of real data that `GLEN_DATA` names, for the tests that need it.
  static var realData: URL? { folder("GLEN_DATA") }

  /// Whether `GLEN_DATA` names a folder.
  static var hasRealData: Bool { realData != nil }

  /// Where `GLEN_TREC_OUTPUT` asks for runs to compare with trec_eval.
  static var trecOutput: URL? { folder("GLEN_TREC_OUTPUT") }

  static func folder(_ variable: String) -> URL? {
    ProcessInfo.processInfo.environment[variable].map { URL(fileURLWithPath: $0) }
  }

  /// A file among the fixtures.
  static func fixture(_ name: String) -> URL {
    Bundle.module.bundleURL.appendingPathComponent("Fixtures").appendingPathComponent(name)
  }

  /// Two documents as corpus.jsonl, compressed with gzip.
  static let compressedCorpus =
    Data(
      base64Encoded: "H4sIAAAAAAACA6tWis9MUbJSUEoxVNJRUCrJLMlJBXGdUlOLwQKpFSUwvkJKYl5yqp5SLVc1"
        + "XJcRsqLwxOICoKp8hbz8EpAyAEADqlBdAAAA") ?? Data()

  /// What `compressedCorpus` holds.
  static let corpus = """
    {"_id": "d1", "title": "Bees", "text": "Bees dance."}
    {"_id": "d2", "text": "Wasps do not."}

    """
}
