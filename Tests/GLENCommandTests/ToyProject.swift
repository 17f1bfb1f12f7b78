import Foundation
import Testing

/// A small corpus, a recipe of seconds, and a model and an index made of them by the tool itself.
enum ToyProject {
  static let files: [String: String] = {
    let subjects = [
      "bees", "rivers", "clocks", "violins", "glaciers", "bridges", "spiders", "lanterns",
      "harbours", "mushrooms",
    ]
    let facts = [
      ("are kept in wooden hives", "what lives in hives"),
      ("run past the old mill", "what runs past mills"),
      ("stand still in winter", "what stands still"),
    ]
    var (corpus, queries) = ("", "")
    var splits = ["train": "", "test": ""]
    for (number, subject) in subjects.enumerated() {
      for (index, fact) in facts.enumerated() {
        let id = "d\(number)-\(index)"
        corpus += """
          {"_id": "\(id)", "title": "\(subject)", "text": "The \(subject) \(fact.0), they say."}

          """
        queries += """
          {"_id": "q\(id)", "text": "\(fact.1) like \(subject)"}

          """
        splits[index == 0 ? "test" : "train", default: ""] += "q\(id)\t\(id)\t1\n"
      }
    }
    let header = "query-id\tcorpus-id\tscore\n"
    return [
      "corpus/corpus.jsonl": corpus, "corpus/queries.jsonl": queries,
      "corpus/qrels/train.tsv": header + (splits["train"] ?? ""),
      "corpus/qrels/test.tsv": header + (splits["test"] ?? ""), "recipe.json": recipe(steps: 12),
    ]
  }()

  static func recipe(steps: Int) -> String {
    """
    {"vocabularySize": 110, "maximumDocumentLength": 32,
     "keywords": {"optimization": {"steps": \(steps), "batchSize": 8, "warmupSteps": 2}},
     "refinement": {"negatives": 2, "optimization": {"steps": 6, "batchSize": 4}}}
    """
  }

  /// The folder with `corpus`, `recipe.json`, `model` and `index`, made once and never changed.
  static let shared = Result {
    let folder = try TemporaryFolder(files)
    // Nothing ends the life of what is static.
    atexit { try? FileManager.default.removeItem(at: ToyProject.folder().url) }
    let train = try CommandLineTool.run(
      "train", "--corpus", folder.path("corpus"), "--out", folder.path("model"), "--size", "tiny",
      "--recipe", folder.path("recipe.json"), "--seed", "3")
    let index = try CommandLineTool.run(
      "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--out",
      folder.path("index"))
    return (folder: folder, train: train, index: index)
  }

  static func folder() throws -> TemporaryFolder { try shared.get().folder }

  /// A copy that a test may damage.
  static func copy(_ names: String...) throws -> TemporaryFolder {
    let (source, target) = (try folder(), try TemporaryFolder())
    for name in names {
      try FileManager.default.copyItem(atPath: source.path(name), toPath: target.path(name))
    }
    return target
  }
}
