import Foundation
import GLENIndex
import Testing

/// `glen add`, `remove` and `compact`: what each does to an index, and what it prints.
@Suite("Changing an index", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct ChangeTests {
  private struct Report: Decodable, Equatable {
    var added: Int
    var removed: Int
    var documents: Int
    var segments: Int
    var generation: Int
  }

  private static func report(_ outcome: CommandLineTool.Outcome) throws -> Report {
    #expect(outcome.status == 0 && outcome.error.isEmpty, "\(outcome.error)")
    return try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
  }

  private static func ids(_ index: String) throws -> [String] {
    let outcome = try CommandLineTool.run("search", index, "bees", "--top", "99", "--json")
    #expect(outcome.status == 0, "\(outcome.error)")
    return outcome.output.components(separatedBy: "\"id\":\"").dropFirst().map {
      String($0.prefix { $0 != "\"" })
    }
  }

  @Test func documentsComeAndGo() throws {
    let project = try ToyProject.copy("index")
    let index = project.path("index")
    let line = "{\"_id\": \"new\", \"title\": \"moths\", \"text\": \"Moths fly by night.\"}\n"
    try project.write(Data(line.utf8), to: "more/corpus.jsonl")
    let added = try CommandLineTool.run(
      "add", index, "--corpus", project.path("more"), "--json")
    #expect(
      try Self.report(added)
        == Report(added: 1, removed: 0, documents: 31, segments: 2, generation: 2))
    #expect(try Self.ids(index).contains("new"))
    // From standard input, compressed, instead of what is there.
    let update = try CommandLineTool.shell(
      "printf '%s\\n' '{\"_id\": \"new\", \"text\": \"other\"}' '{\"_id\": \"two\", \"text\": \"x\"}' "
        + "| gzip | \"$GLEN\" add \"$1\" --corpus - --update --json", index)
    #expect(
      try Self.report(update)
        == Report(added: 2, removed: 0, documents: 32, segments: 2, generation: 3))
    let removed = try CommandLineTool.run(
      "remove", index, "--id", "d0-1", "two", "--id", "d1-1", "--json")
    #expect(
      try Self.report(removed)
        == Report(added: 0, removed: 3, documents: 29, segments: 2, generation: 4))
    let report = try CommandLineTool.run("inspect", index, "--json").output
    let object = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
    let drift = try #require(object?["drift"] as? [String: Any])
    let margin = try #require(drift["weightMargin"] as? Double)
    let text = try CommandLineTool.run("inspect", index).output
    #expect(text.contains("weight margin " + String(format: "%+28.2f", margin) + "\n"), "\(text)")
    let before = try Self.ids(index)
    #expect(before.count == 29 && !before.contains("d0-1") && !before.contains("two"))
    #expect(
      try Self.report(CommandLineTool.run("compact", index, "--json"))
        == Report(added: 0, removed: 0, documents: 29, segments: 1, generation: 5))
    #expect(try Self.ids(index) == before)
    // Nothing more to do, in words.
    let again = try CommandLineTool.run("compact", index)
    #expect(again.output == "\(index): 29 documents in 1 segment, commit 5\n")
    #expect(try CommandLineTool.run("verify", index).status == 0)
    let inspected = try CommandLineTool.run("inspect", index, "--json")
    #expect(inspected.output.contains("\"documents\":29") && inspected.output.contains("\"drift\""))
  }

  private struct Answer: Decodable {
    struct Hit: Decodable {
      var id: String
      var fusedScore: Float?
      var metadata: [String: MetadataValue]
    }
    var hits: [Hit]
  }

  /// The hits of all documents that fulfil conditions.
  private static func hits(
    _ index: String, where conditions: String..., hybrid: Bool = false
  ) throws -> [Answer.Hit] {
    let outcome = try CommandLineTool.run(
      ["search", index, "bees", "--top", "99", "--json"] + (hybrid ? ["--hybrid"] : [])
        + conditions.flatMap { ["--where", $0] })
    #expect(outcome.status == 0, "\(outcome.error)")
    return try JSONDecoder().decode(Answer.self, from: Data(outcome.output.utf8)).hits
  }

  /// From the corpus to the index, to the hits, and to what may be one.
  @Test func metadataComesWithTheDocuments() throws {
    let project = try ToyProject.copy("model")
    let index = project.path("index")
    let corpus = """
      {"_id": "1", "text": "Bees fly.", "metadata": {"topic": "bees", "year": 2025, "draft": true}}
      {"_id": "2", "title": "\\u001b]0;red\\u0007 rivers", "text": "Rivers run."}

      """
    try project.write(Data(corpus.utf8), to: "corpus/corpus.jsonl")
    let made = try CommandLineTool.run(
      "index", "--model", project.path("model"), "--corpus", project.path("corpus"), "--out", index,
      "--keywords")
    #expect(made.status == 0, "\(made.error)")
    let more = "{\"_id\": \"3\", \"text\": \"Bees.\", \"metadata\": {\"topic\": \"bees\"}}\n"
    try project.write(Data(more.utf8), to: "more.jsonl")
    let added = try CommandLineTool.run("add", index, "--corpus", project.path("more.jsonl"))
    #expect(added.status == 0, "\(added.error)")
    // A title cannot command the terminal; JSON has it as it is.
    let text = try CommandLineTool.run("search", index, "rivers").output
    #expect(text.contains("␛]0;red␇ rivers") && !text.contains("\u{1B}"), "\(text)")
    let json = try CommandLineTool.run("search", index, "rivers", "--json").output
    #expect(json.contains("\\u001b]0;red\\u0007 rivers"), "\(json)")
    let all = try Self.hits(index)
    #expect(all.count == 3 && all.allSatisfy { $0.fusedScore == nil })
    let first: [String: MetadataValue] = ["topic": "bees", "year": 2025, "draft": true]
    #expect(all.first { $0.id == "1" }?.metadata == first)
    #expect(all.first { $0.id == "2" }?.metadata == [:])
    #expect(all.first { $0.id == "3" }?.metadata == ["topic": "bees"])
    for (condition, ids) in [
      ("topic=bees", ["1", "3"]), ("topic=", []), ("topic=Bees", []), ("year=2025", ["1"]),
      ("year=2025.0", ["1"]), ("year=2024", []), ("year=x", []), ("draft=true", ["1"]),
      ("draft=false", []), ("draft=1", []), ("other=1", []),
    ] {
      let found = try Self.hits(index, where: condition).map(\.id).sorted()
      #expect(found == ids, "\(condition)")
    }
    #expect(try Self.hits(index, where: "topic=bees", "year=2025").map(\.id) == ["1"])
    let fused = try Self.hits(index, where: "topic=bees", hybrid: true)
    #expect(fused.count == 2 && fused.allSatisfy { ($0.fusedScore ?? 0) > 0 })
    for wrong in ["topic", "=bees"] {
      let usage = try CommandLineTool.run("search", index, "bees", "--where", wrong)
      #expect(usage.status == 64 && usage.error.contains("--where"))
    }
  }

  /// A name that no run could hold is refused before anything is written.
  @Test func aTabInAnIdIsRefused() throws {
    let project = try ToyProject.copy("index")
    let line = "{\"_id\": \"a\\tb\", \"text\": \"x\"}\n"
    try project.write(Data(line.utf8), to: "more.jsonl")
    let outcome = try CommandLineTool.run(
      "add", project.path("index"), "--corpus", project.path("more.jsonl"))
    #expect(outcome.status == 65 && outcome.error.contains("\"a\\tb\""), "\(outcome.error)")
    #expect(try Self.ids(project.path("index")).count == 30)
  }

  @Test func mistakesChangeNothing() throws {
    let project = try ToyProject.copy("index", "corpus")
    let index = project.path("index")
    for (arguments, status, words) in [
      (["add", index, "--corpus", project.path("corpus")], 65, "\"d0-0\""),
      (["remove", index, "--id", "d0-0", "--id", "nothing"], 65, "\"nothing\""),
      (["add", index, "--corpus", project.path("none")], 66, "none"),
      (["add", project.path("none"), "--corpus", project.path("corpus")], 66, "none"),
      (["remove", project.path("none"), "--id", "x"], 66, "none"),
      (["compact", project.path("none")], 66, "none"), (["remove", index], 64, "--id"),
      (["add", index], 64, "--corpus"),
    ] as [([String], Int32, String)] {
      let outcome = try CommandLineTool.run(arguments)
      #expect(outcome.status == status, "\(outcome.error)")
      #expect(outcome.error.contains(words), "\(outcome.error)")
      #expect(outcome.output.isEmpty)
    }
    #expect(try Self.ids(index).count == 30)
    let inspected = try CommandLineTool.run("inspect", index)
    #expect(inspected.output.contains("segments               1"))
  }
}
