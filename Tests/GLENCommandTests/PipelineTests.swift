import Foundation
import Testing

/// Train, index, search, evaluate: what each prints, and where.
@Suite("The command line", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct PipelineTests {
  /// Standard error without a terminal: whole lines that nothing rewrites.
  private static func expectPlain(_ text: String) {
    #expect(!text.contains("\r") && !text.contains("\u{1B}"))
    #expect(text.isEmpty || text.hasSuffix("\n"))
  }

  @Test func trainingAndIndexingPrintNoResults() throws {
    let (folder, train, index) = try ToyProject.shared.get()
    for outcome in [train, index] {
      #expect(outcome.status == 0, "\(outcome.error)")
      #expect(outcome.output.isEmpty)
      Self.expectPlain(outcome.error)
    }
    #expect(train.error.contains("keywords 12/12"))
    #expect(train.error.contains("refine 6/6"))
    #expect(train.error.contains("steps/s"))
    #expect(index.error.contains("30 documents"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("model")).sorted()
    #expect(
      names == [
        "cache", "config.json", "glen.json", "metrics.jsonl", "model.safetensors", "recipe.json",
        "spiece.model", "tensorboard",
      ])
  }

  @Test func aRunIsReportedOnAPage() throws {
    let folder = try ToyProject.copy("model")
    let page = folder.path("page.html")
    let outcome = try CommandLineTool.run("report", folder.path("model"), "--out", page)
    #expect(outcome.status == 0, "\(outcome.error)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    for part in ["12 of 12", "6 of 6", "vocabularySize<td>110", "<svg"] {
      #expect(html.contains(part), "\(part)")
    }
    #expect(try CommandLineTool.run("report", folder.path("none")).status == 66)
  }

  /// A model learns to ask, asks, and phase 1 learns from what it asked.
  @Test func generatedQueriesGoFromOneModelToAnother() throws {
    let source = try ToyProject.folder()
    let folder = try TemporaryFolder()
    let (asker, file) = (folder.path("asker"), folder.path("queries.jsonl"))
    let train = [
      "train", "--corpus", source.path("corpus"), "--recipe", source.path("recipe.json"),
      "--cache", folder.path("cache"),
    ]
    let asking = try CommandLineTool.run(
      train + ["--phase", "queries", "--set", "queries.steps=4", "--out", asker])
    #expect(asking.status == 0, "\(asking.error)")
    for (batch, seed) in [("7", "1"), ("30", "1"), ("30", "2")] {
      let earlier = try? String(contentsOfFile: file, encoding: .utf8)
      let outcome = try CommandLineTool.run(
        "generate-queries", "--model", asker, "--corpus", source.path("corpus"), "--out", file,
        "--per-document", "2", "--batch", batch, "--seed", seed)
      #expect(outcome.status == 0, "\(outcome.error)")
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.split(separator: "\n").count == 30)
      #expect(text.hasPrefix("{\"doc_id\":\"d0-0\",\"queries\":[\""))
      if let earlier { #expect((text == earlier) == (seed == "1"), "batch \(batch), seed \(seed)") }
    }
    let outcome = try CommandLineTool.run(
      train + [
        "--phase", "keywords", "--set", "keywords.optimization.steps=2", "--generated-queries",
        file, "--out", folder.path("model"),
      ])
    #expect(outcome.status == 0 && outcome.error.contains("generated queries"), "\(outcome.error)")
  }

  @Test func malformedLinesArePassedOverUpToTheLimit() throws {
    let folder = try ToyProject.copy("corpus")
    let path = folder.path("corpus/corpus.jsonl")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try folder.write(Data((text + "{broken\n").utf8), to: "corpus/corpus.jsonl")
    let arguments = ["evaluate", "--baseline", "bm25", "--corpus", folder.path("corpus")]
    let strict = try CommandLineTool.run(arguments)
    #expect(strict.status == 65 && strict.error.contains("corpus.jsonl: line 31 is malformed"))
    let lenient = try CommandLineTool.run(arguments + ["--malformed-limit", "1"])
    #expect(lenient.status == 0 && lenient.error.contains("left out 1 malformed line\n"))
  }

  /// Measures that look deeper than the lists would not be what they are called.
  @Test func shortListsHaveNoDeepMeasures() throws {
    let folder = try ToyProject.folder()
    let outcome = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--corpus", folder.path("corpus"), "--depth", "10")
    #expect(outcome.status == 0 && outcome.output.contains("R@10 "))
    #expect(!outcome.output.contains("@100"))
  }

  /// Indexing again with the model that is there leaves nothing beside it.
  @Test func indexingAgainLeavesNothingBehind() throws {
    let folder = try ToyProject.copy("model", "corpus")
    for _ in 0..<2 {
      let outcome = try CommandLineTool.run(
        "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--out",
        folder.path("index"))
      #expect(outcome.status == 0, "\(outcome.error)")
    }
    let names = try #require(FileManager.default.enumerator(atPath: folder.path("index")))
    #expect(names.allSatisfy { !"\($0)".hasSuffix(".tmp") })
  }

  /// What others write to the same output stays.
  @Test func standardOutputIsNotReplaced() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    let lines = try CommandLineTool.shell(
      "echo before > $2; (\"$GLEN\" inspect $1 --tsv /dev/stdout; echo after) >> $2; cat $2; "
        + "\"$GLEN\" inspect $1 --tsv /dev/stdout | tail -1",
      folder.path("index"), output.path("file"))
    let all = lines.output.split(separator: "\n")
    #expect(all.count == 33 && all.first == "before" && all[31] == "after", "\(lines.error)")
    #expect(all[30] == all[32] && all[32].contains("<->"))
  }

  /// As BEIR's evaluator does by default.
  @Test func theDocumentWithTheQuestionsIdIsLeftOut() throws {
    let folder = try ToyProject.copy("corpus")
    let queries = folder.path("corpus/queries.jsonl")
    let text = try String(contentsOfFile: queries, encoding: .utf8)
    let document = try #require(
      try String(contentsOfFile: folder.path("corpus/corpus.jsonl"), encoding: .utf8)
        .split(separator: "\n").first { $0.contains("\"d4-0\"") })
    try folder.write(Data((text + document + "\n").utf8), to: "corpus/queries.jsonl")
    try folder.write(
      Data("query-id\tcorpus-id\tscore\nd4-0\td4-1\t1\n".utf8), to: "corpus/qrels/own.tsv")
    let run = folder.path("run")
    for (flags, isThere) in [([], false), (["--keep-identical-ids"], true)] {
      let outcome = try CommandLineTool.run(
        [
          "evaluate", "--baseline", "bm25", "--corpus", folder.path("corpus"), "--split", "own",
          "--run", run,
        ] + flags)
      #expect(outcome.status == 0, "\(outcome.error)")
      let lines = try String(contentsOfFile: run, encoding: .utf8)
      #expect(lines.contains("d4-0 Q0 d4-1 ") && lines.contains("d4-0 Q0 d4-0 ") == isThere)
    }
  }

  /// And not by a preset's, which would make a model of other identifiers of it.
  @Test func phaseTwoGoesOnByTheModelsOwnRecipe() throws {
    let folder = try ToyProject.copy("corpus", "model")
    func read(_ name: String) throws -> String {
      try String(contentsOfFile: folder.path("model/" + name), encoding: .utf8)
    }
    let (settings, metrics) = (try read("glen.json"), try read("metrics.jsonl"))
    let outcome = try CommandLineTool.run(
      "train", "--corpus", folder.path("corpus"), "--out", folder.path("model"), "--phase",
      "refine", "--set", "refinement.optimization.steps=2")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(!outcome.error.contains("warning"), "\(outcome.error)")
    #expect(try read("glen.json") == settings && settings.contains("32"))
    let url = URL(fileURLWithPath: folder.path("model/recipe.json"))
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: url))
    let recipe = try #require(object as? [String: Any])
    for (phase, steps) in [("keywords", 12), ("refinement", 2)] {
      let optimization = (recipe[phase] as? [String: Any])?["optimization"] as? [String: Any]
      #expect(optimization?["steps"] as? Int == steps)
    }
    // The updates of phase 1 stay, those of the earlier phase 2 go.
    let kept = metrics.split(separator: "\n").filter { $0.contains("\"keywords\"") }
    let now = try read("metrics.jsonl").split(separator: "\n")
    #expect(!kept.isEmpty && Array(now.prefix(kept.count)) == kept)
    #expect(now.count == kept.count + 2)
  }

  private struct Answer: Decodable {
    var query: String
    var hits: [Hit]

    struct Hit: Decodable {
      var id: String
      var score: Double
      var identifier: [String]
      var tokens: [Int]
      var similarity: Double
    }
  }

  private static func answers(_ outcome: CommandLineTool.Outcome) throws -> [Answer] {
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.error.isEmpty)
    return try outcome.output.split(separator: "\n").map {
      try JSONDecoder().decode(Answer.self, from: Data($0.utf8))
    }
  }

  @Test func searchPrintsOneObjectAQuestion() throws {
    let index = try ToyProject.folder().path("index")
    let questions = ["what lives in hives", "ünïcode \"quoted\" / 🐝", "", "a\nb"]
    let answers = try Self.answers(
      CommandLineTool.run(["search", index, "--json", "--top", "7"] + questions))
    #expect(answers.map(\.query) == questions)
    for answer in answers {
      #expect(answer.hits.count == 7)
      #expect(Set(answer.hits.map(\.id)).count == 7)
      for hit in answer.hits {
        #expect(hit.identifier.count == 3 && hit.tokens.count == 3 && hit.score < 0)
        #expect(hit.id.hasPrefix("d") && abs(hit.similarity) < 1.001)
      }
      let scores = answer.hits.map(\.score)
      #expect(scores == scores.sorted(by: >))
    }
    let wide = try CommandLineTool.run(
      ["search", index, "--json", "--top", "7", "--beam", "1000"] + questions)
    let exact = try CommandLineTool.run(
      ["search", index, "--json", "--top", "7", "--exact"] + questions)
    #expect(wide.output == exact.output)
  }

  @Test func searchPrintsHitsInWords() throws {
    let index = try ToyProject.folder().path("index")
    let outcome = try CommandLineTool.run("search", index, "what lives in hives", "--top", "3")
    #expect(outcome.status == 0)
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 4 && lines[0] == "what lives in hives")
    #expect(lines[1].contains("[d") && lines[1].contains("-"))
  }

  @Test func searchExplainsItsHits() throws {
    let index = try ToyProject.folder().path("index")
    let outcome = try CommandLineTool.run("search", index, "bees 🐝", "--top", "2", "--explain")
    #expect(outcome.status == 0 && outcome.error.isEmpty)
    // The question, and for each hit a line, one for each token, the cosine, and who came next.
    #expect(outcome.output.split(separator: "\n").count == 1 + 2 * 6)
    #expect(outcome.output.components(separatedBy: "cosine of the logits").count == 3)
    #expect(outcome.output.components(separatedBy: "ahead of [d").count == 3)
    let json = try CommandLineTool.run(
      "search", index, "bees 🐝", "--top", "2", "--explain", "--json")
    let answer = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let hits = try #require(answer["hits"] as? [[String: Any]])
    let explanations = try #require(answer["explanations"] as? [[String: Any]])
    #expect(hits.count == 2 && explanations.count == 2)
    for (hit, explanation) in zip(hits, explanations) {
      #expect((explanation["hit"] as? [String: Any])?["id"] as? String == hit["id"] as? String)
      #expect((explanation["steps"] as? [[String: Any]])?.count == 3)
      #expect((explanation["rejected"] as? [String: Any])?["losses"] != nil)
    }
  }

  @Test func anImprobableAnswerIsNone() throws {
    let index = try ToyProject.folder().path("index")
    let arguments = ["search", index, "bees 🐝", "--minimum-probability"]
    let none = try CommandLineTool.run(arguments + ["1"])
    #expect(none.status == 0 && none.output == "bees 🐝\n  no good answer\n")
    let json = try CommandLineTool.run(arguments + ["1", "--json"])
    #expect(json.output == #"{"hits":[],"query":"bees 🐝"}"# + "\n")
    let all = try CommandLineTool.run(arguments + ["0"])
    #expect(all.output.split(separator: "\n").count == 11)
  }

  @Test func enormousLimitsAreAllDocuments() throws {
    let index = try ToyProject.folder().path("index")
    let most = String(Int.max)
    for extra in [[], ["--beam", most]] {
      let outcome = try CommandLineTool.run(
        ["search", index, "bees", "--json", "--top", most] + extra)
      #expect(try Self.answers(outcome).first?.hits.count == 30)
    }
  }

  @Test func evaluationPrintsItsNumbersAndWritesARun() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    let run = output.path("test.run")
    let outcome = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--corpus", folder.path("corpus"), "--split", "test",
      "--run", run, "--json")
    #expect(outcome.status == 0, "\(outcome.error)")
    let json = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let text = outcome.output
    #expect(json is [String: Any])
    for metric in ["R@1", "R@10", "R@100", "MRR@10", "MRR@100", "nDCG@10", "AP"] {
      #expect(text.contains("\"\(metric)\""), "\(metric)")
    }
    let lines = try String(contentsOfFile: run, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 10 * 30)
    for line in lines {
      let columns = line.split(separator: " ")
      #expect(columns.count == 6 && columns[1] == "Q0" && columns[5] == "glen")
    }
    let table = try CommandLineTool.run(
      "evaluate", "--baseline", "bm25", "--corpus", folder.path("corpus"))
    #expect(table.status == 0 && table.output.contains("bm25"))
    let beside = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--baseline", "bm25", "--corpus", folder.path("corpus"))
    #expect(beside.output == table.output)
    let beam = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--corpus", folder.path("corpus"), "--json", "--beam", "30")
    #expect(beam.output == outcome.output)
  }

  @Test func evaluationSaysHowReliableItIs() throws {
    let folder = try ToyProject.folder()
    let arguments = [
      "evaluate", folder.path("index"), "--corpus", folder.path("corpus"), "--reliability",
    ]
    let outcome = try CommandLineTool.run(arguments + ["--json"])
    #expect(outcome.status == 0, "\(outcome.error)")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    #expect(object["R@1"] as? Double != nil && object["queries"] as? Int == 10)
    let reliability = try #require(object["reliability"] as? [String: Any])
    // Each query has one right document, so the share of right best hits is Recall@1.
    #expect(reliability["accuracy"] as? Double == object["R@1"] as? Double)
    let bins = try #require(reliability["bins"] as? [[String: Any]])
    #expect(bins.count == 10)
    #expect(bins.compactMap { $0["count"] as? Int }.reduce(0, +) == 10)
    let text = try CommandLineTool.run(arguments)
    #expect(text.status == 0 && text.output.contains("expected calibration error"))
    // The threshold that is printed is the threshold, to the last bit.
    struct Report: Decodable {
      struct Reliability: Decodable { var bestF1: AbstentionThreshold }
      struct AbstentionThreshold: Decodable { var minimumProbability: Double }
      var reliability: Reliability
    }
    let best = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    let printed = text.output.components(separatedBy: "--minimum-probability ")
      .last?.trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(printed.flatMap { Double($0) } == best.reliability.bestF1.minimumProbability)
  }

  @Test func inspectionAndVerification() throws {
    let index = try ToyProject.folder().path("index")
    let summary = try CommandLineTool.run("inspect", index, "--json")
    #expect(summary.status == 0)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(summary.output.utf8)) as? [String: Any])
    #expect(object["documents"] as? Int == 30 && object["identifierLength"] as? Int == 3)
    let rows = try CommandLineTool.run("inspect", index, "--documents", "--json")
    #expect(rows.output.split(separator: "\n").count == 30)
    let plain = try CommandLineTool.run("inspect", index)
    #expect(plain.status == 0 && plain.output.contains("documents"))
    let verified = try CommandLineTool.run("verify", index)
    #expect(verified.status == 0 && verified.output == "\(index) is sound\n")
  }

  @Test func hybridEvaluationShowsBothPartsAndTheWhole() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    func evaluate(_ extra: [String]) throws -> CommandLineTool.Outcome {
      try CommandLineTool.run(
        ["evaluate", folder.path("index"), "--corpus", folder.path("corpus")] + extra)
    }
    func evaluate(_ extra: String...) throws -> CommandLineTool.Outcome { try evaluate(extra) }
    let fused = try evaluate("--hybrid", "rrf", "--run", output.path("h.run"))
    #expect(fused.status == 0, "\(fused.error)")
    let labels = fused.output.split(separator: "\n").dropFirst().map {
      String($0.prefix { $0 != " " })
    }
    #expect(labels == ["glen", "bm25-pieces", "hybrid"])
    #expect(
      try String(contentsOfFile: output.path("h.run"), encoding: .utf8).contains(" hybrid\n"))
    // An index that keeps its keywords gives the same.
    let kept = try CommandLineTool.run(
      "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--out",
      output.path("index"), "--keywords")
    #expect(kept.status == 0, "\(kept.error)")
    let own = try CommandLineTool.run(
      "evaluate", output.path("index"), "--corpus", folder.path("corpus"), "--hybrid", "rrf")
    #expect(own.output == fused.output)
    // All weight on one side is that side's ranking; JSON says the weight, and the measures of both.
    func object(_ extra: [String]) throws -> [String: Any] {
      let text = try evaluate(["--json"] + extra).output
      return try #require(
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }
    let alone = try object([]) as? [String: Double]
    var whole = try object(["--hybrid", "interpolate", "--weight", "1"])
    let parts = try #require(whole.removeValue(forKey: "hybrid") as? [String: Any])
    let rankings = try #require(parts["rankings"] as? [String: [String: Double]])
    #expect(alone?.isEmpty == false && whole as? [String: Double] == alone)
    #expect(rankings["glen"] == alone && rankings["bm25-pieces"]?.keys == alone?.keys)
    #expect(parts["weight"] as? Double == 1 && parts["fusion"] as? String == "interpolate")
    let tuned = try evaluate("--hybrid", "interpolate", "--tune", "train")
    #expect(tuned.status == 0 && tuned.error.contains("tuned on train"))
    #expect(try evaluate("--hybrid", "interpolate").status == 66)
    #expect(try evaluate("--weight", "0.5").status == 64)
    #expect(try evaluate("--hybrid", "rrf", "--beam", "3").status == 64)
    let other = try TemporaryFolder([
      "corpus.jsonl": "{\"_id\": \"d0-0\", \"text\": \"y\"}\n",
      "queries.jsonl": "{\"_id\": \"q\", \"text\": \"y\"}\n", "qrels/test.tsv": "q\td0-0\t1\n",
    ])
    let wrong = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--corpus", other.url.path, "--hybrid", "rrf")
    #expect(wrong.status == 65 && wrong.error.contains("not in the corpus"))
  }

  /// Judgements of documents that are not there fail, and the message says what passes them over.
  @Test func unknownJudgementsArePassedOverOnRequest() throws {
    let folder = try ToyProject.copy("corpus")
    let path = folder.path("corpus/qrels/test.tsv")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let arguments = [
      "evaluate", try ToyProject.folder().path("index"), "--corpus", folder.path("corpus"),
      "--json",
    ]
    let before = try CommandLineTool.run(arguments)
    try folder.write(
      Data((text + "qd0-0\tgone\t1\nnobody\td0-0\t1\n").utf8), to: "corpus/qrels/test.tsv")
    let strict = try CommandLineTool.run(arguments)
    #expect(strict.status == 65 && strict.error.contains("--skip-unknown"), "\(strict.error)")
    let lenient = try CommandLineTool.run(arguments + ["--skip-unknown"])
    #expect(lenient.status == 0, "\(lenient.error)")
    #expect(lenient.error.contains("2 judgements of test are of documents"), "\(lenient.error)")
    // One of the ten questions has another answer now, which is never found: it loses half of its recall.
    func measure(_ name: String, _ outcome: CommandLineTool.Outcome) throws -> Double {
      let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
      return try #require((object as? [String: Any])?[name] as? Double)
    }
    #expect(try measure("queries", lenient) == measure("queries", before))
    #expect(try abs(measure("R@100", before) - measure("R@100", lenient) - 0.05) < 1e-9)
  }

  /// The table goes to standard output, in three forms; a second run trains nothing.
  @Test func anAblationPrintsItsTable() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    let arguments = [
      "ablate", "--corpus", folder.path("corpus"), "--recipe", folder.path("recipe.json"), "--out",
      output.path("study"), "--seeds", "2", "--only", "full,no-refinement", "shuffled-collisions",
    ]
    let text = try CommandLineTool.run(arguments)
    #expect(text.status == 0, "\(text.error)")
    Self.expectPlain(text.error)
    #expect(text.error.contains("no-refinement/seed-2: training"))
    let lines = text.output.split(separator: "\n").map { $0.prefix { $0 != " " } }
    #expect(lines == ["ablation", "full", "no-refinement", "shuffled-collisions", "Means", "The"])
    #expect(text.output.contains("test MRR@100") && text.output.contains(" ± "))

    let markdown = try CommandLineTool.run(arguments + ["--table", "markdown"])
    #expect(markdown.status == 0 && !markdown.error.contains("training"), "\(markdown.error)")
    let file = try String(contentsOfFile: output.path("study/ablations.md"), encoding: .utf8)
    #expect(markdown.output == file + "\n" && file.hasPrefix("| ablation | test R@1 |"))
    let json = try CommandLineTool.run(arguments + ["--table", "json"])
    let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
    #expect(object?["seeds"] as? [Int] == [1, 2])
    #expect((object?["rows"] as? [[String: Any]])?.count == 3)
    // The runs report like any other.
    let page = output.path("page.html")
    let report = try CommandLineTool.run("report", output.path("study/full/seed-1"), "--out", page)
    #expect(report.status == 0, "\(report.error)")

    let other = try CommandLineTool.run(arguments + ["--set", "refinement.negatives=1"])
    #expect(other.status == 65 && other.error.contains("study.json"), "\(other.error)")
  }

  @Test func shufflesHaveAMeanBetweenTheirBounds() throws {
    let folder = try ToyProject.folder()
    let outcome = try CommandLineTool.run(
      "evaluate", folder.path("index"), "--corpus", folder.path("corpus"), "--shuffles", "50",
      "--json")
    #expect(outcome.status == 0, "\(outcome.error)")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let shuffled = try #require(object["shuffled"] as? [String: Any])
    func value(_ key: String) throws -> Double {
      try #require((shuffled[key] as? [String: Double])?["MRR@100"])
    }
    #expect(object["MRR@100"] is Double && shuffled["count"] as? Int == 50)
    #expect(try value("low") <= value("mean") && value("mean") <= value("high"))
  }

  @Test func identifiersGoToAFileAndBack() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    let index = folder.path("index")
    let tsv = output.path("identifiers.tsv")
    #expect(try CommandLineTool.run("inspect", index, "--tsv", tsv).status == 0)
    let back = try CommandLineTool.run(
      "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--identifiers",
      tsv, "--out", output.path("index"))
    #expect(back.status == 0, "\(back.error)")
    func rows(_ path: String) throws -> String {
      try CommandLineTool.run("inspect", path, "--documents", "--json").output
    }
    #expect(try rows(index) == rows(output.path("index")))
    try output.write(Data("d0-0\tx\n".utf8), to: "bad.tsv")
    let bad = try CommandLineTool.run(
      "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--identifiers",
      output.path("bad.tsv"), "--out", output.path("other"))
    #expect(bad.status == 65 && bad.error.contains("line 1"))
  }

  @Test func inspectionDrawsAPage() throws {
    let index = try ToyProject.folder().path("index")
    let output = try TemporaryFolder()
    let outcome = try CommandLineTool.run("inspect", index, "--html", output.path("page.html"))
    #expect(outcome.status == 0 && outcome.output.isEmpty, "\(outcome.error)")
    let page = try String(contentsOfFile: output.path("page.html"), encoding: .utf8)
    #expect(page.hasPrefix("<!DOCTYPE html>") && page.contains("30"))
  }

  @Test func statesAreWritten() throws {
    let model = try ToyProject.folder().path("model")
    let output = try TemporaryFolder()
    for source in [["--text", "bees"], ["--ids", "5,6,1"]] {
      let outcome = try CommandLineTool.run(
        ["states", "--model", model, "--out", output.path("s.safetensors")] + source)
      #expect(outcome.status == 0, "\(outcome.error)")
      let data = try Data(contentsOf: URL(fileURLWithPath: output.path("s.safetensors")))
      let header = String(decoding: data.prefix(600), as: UTF8.self)
      for name in ["input_ids", "encoder_last_hidden_state", "decoder_states", "logits"] {
        #expect(header.contains("\"\(name)\""))
      }
    }
  }

  @Test func benchPrintsItsNumbers() throws {
    let model = try ToyProject.folder().path("model")
    for extra in [
      [], ["--train"], ["--train", "--length", "5,3,8"],
      ["--refine", "--query-length", "2,4", "--negatives", "3"],
      ["--refine", "--query-chunk", "1", "--document-chunk", "3", "--warm-up", "0"],
    ] {
      let outcome = try CommandLineTool.run(
        ["bench", "--model", model, "--batch", "2", "--length", "5", "--runs", "2", "--json"]
          + extra)
      #expect(outcome.status == 0, "\(outcome.error)")
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      for key in ["median_ms", "min_ms", "tokens_per_s"] {
        #expect((object[key] as? Double ?? 0) > 0, "\(key)")
      }
    }
  }

  @Test func helpAndVersionAreResults() throws {
    for arguments in [["--help"], ["train", "--help"], ["help", "search"], ["--version"]] {
      let outcome = try CommandLineTool.run(arguments)
      #expect(outcome.status == 0 && !outcome.output.isEmpty && outcome.error.isEmpty)
    }
  }
}
