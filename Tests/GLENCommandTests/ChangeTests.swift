import Foundation
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
    let before = try Self.ids(index)
    #expect(before.count == 29 && !before.contains("d0-1") && !before.contains("two"))
    #expect(
      try Self.report(CommandLineTool.run("compact", index, "--json"))
        == Report(added: 0, removed: 0, documents: 29, segments: 1, generation: 5))
    #expect(try Self.ids(index) == before)
    // Nothing more to do, in words.
    let again = try CommandLineTool.run("compact", index)
    #expect(again.output == "\(index): 29 documents in 1 segments, commit 5\n")
    #expect(try CommandLineTool.run("verify", index).status == 0)
    let inspected = try CommandLineTool.run("inspect", index, "--json")
    #expect(inspected.output.contains("\"documents\":29") && inspected.output.contains("\"drift\""))
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
