import Foundation
import Testing

/// The programs under `Examples`, run on a toy model and its index.
@Suite("Examples", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct ExampleTests {
  /// The lines that an example prints; it must succeed.
  private static func lines(_ name: String, _ arguments: String...) throws -> [String] {
    let example = try CommandLineTool.neighbour(name)
    let outcome = try CommandLineTool.finish(CommandLineTool.launch(example, arguments))
    #expect(outcome.status == 0 && outcome.error.isEmpty, "\(outcome.output)\(outcome.error)")
    return outcome.output.split(separator: "\n").map(String.init)
  }

  @Test func searchIndexAnswersEveryQuestion() throws {
    let index = try ToyProject.folder().path("index")
    let lines = try Self.lines("search-index", index, "what lives in hives", "what stands still")
    #expect(lines.count == 8)
    #expect(lines.indices.filter { !lines[$0].hasPrefix("  ") } == [0, 4])
  }

  @Test func indexTextsSavesWhatItIndexed() throws {
    let (model, folder) = (try ToyProject.folder().path("model"), try TemporaryFolder())
    let index = folder.path("own")
    let lines = try Self.lines("index-texts", model, "Who guards the hive?", index)
    #expect(lines.count == 4 && lines.last == "saved 3 documents in \(index)")
    for title in ["The bees' front door", "Why glass is clear", "What yeast does to dough"] {
      #expect(lines.count { $0.hasSuffix("  " + title) } == 1)
    }
    #expect(try CommandLineTool.run("verify", index).status == 0)
  }

  @Test func addAndRemoveLeavesTheDocumentsThatWereThere() throws {
    let project = try ToyProject.copy("index")
    let index = project.path("index")
    let lines = try Self.lines("add-and-remove", index)
    #expect(lines.first == "added: 30 -> 31 documents")
    #expect(lines.contains("removed: 31 -> 30 documents"))
    let probability = lines.first { $0.hasPrefix("P(moth) = ") }.flatMap {
      Double($0.dropFirst(10))
    }
    #expect(try #require(probability) > 0)
    let searches = lines.last.flatMap { $0.split(separator: " ").first }.flatMap { Int($0) }
    #expect(try #require(searches) > 0)
    #expect(try CommandLineTool.run("verify", index).status == 0)
  }

  @Test func filterByMetadataShowsOnlyWhatIsAllowed() throws {
    let model = try ToyProject.folder().path("model")
    let some = try Self.lines("filter-by-metadata", model, "Who guards the hive?", "2024")
    #expect(some.count == 2 && some[0].hasPrefix("dance  "))
    #expect(some.last == "1 of 3 documents may be seen")
    let more = try Self.lines("filter-by-metadata", model, "Who guards the hive?", "2000")
    #expect(Set(more.dropLast().map { String($0.prefix(5)) }) == ["hive ", "dance"])
  }

  @Test func askInTerminalAnswersUntilAnEmptyLine() throws {
    let index = try ToyProject.folder().path("index")
    let script = "printf 'what lives in hives\\n\\nwhat stands still\\n' | \"$1\" \"$2\" $3"
    let example = try CommandLineTool.neighbour("ask-in-terminal").path
    let answered = try CommandLineTool.shell(script, example, index)
    let lines = answered.output.split(separator: "\n")
    #expect(answered.status == 0 && lines.count == 5, "\(answered.output)")
    #expect(lines.first == "30 documents. An empty line ends.")
    #expect(lines[1...3].allSatisfy { $0.contains(" %  ") })
    #expect(lines.last?.contains("because the question speaks") == true)
    // Nothing is as probable as this.
    let silent = try CommandLineTool.shell(script, example, index, "1.1")
    #expect(silent.output.split(separator: "\n").dropFirst() == ["No good answer."])
  }

  @Test func mistakesAreSaid() throws {
    for name in [
      "add-and-remove", "ask-in-terminal", "filter-by-metadata", "index-texts", "search-index",
    ] {
      let example = try CommandLineTool.neighbour(name)
      let usage = try CommandLineTool.finish(CommandLineTool.launch(example, []))
      #expect(usage.status == 64 && usage.output.hasPrefix("usage: \(name) "))
    }
    let search = try CommandLineTool.neighbour("search-index")
    let missing = try CommandLineTool.finish(CommandLineTool.launch(search, ["/none", "why"]))
    #expect(missing.status == 1 && missing.output.hasPrefix("search-index: "))
  }
}
