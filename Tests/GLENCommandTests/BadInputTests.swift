import Foundation
import Testing

/// Each kind of wrong input: its exit code, a message that names it, and nothing broken.
@Suite("Bad input", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct BadInputTests {
  /// Expects a code, a message with the given words, and no results.
  private static func expect(
    _ status: Int32, _ words: String..., from outcome: CommandLineTool.Outcome,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(!outcome.isSignal, "\(outcome.error)", sourceLocation: location)
    #expect(outcome.status == status, "\(outcome.error)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    for word in words {
      #expect(outcome.error.contains(word), "\(outcome.error)", sourceLocation: location)
    }
    #expect(!outcome.error.contains("Fatal"), "\(outcome.error)", sourceLocation: location)
  }

  // MARK: Environment

  @Test(arguments: [
    ("GLEN_THREADS", "many", "from 1 on"), ("GLEN_THREADS", "0", "from 1 on"),
    ("GLEN_CPU_KERNELS", "avx", "avx2"),
  ]) func misspelt(name: String, value: String, hint: String) throws {
    let outcome = try CommandLineTool.shell("\(name)=\(value) $GLEN bench --model micro")
    Self.expect(64, name, "'\(value)'", hint, from: outcome)
    for fine in ["\(name)= $GLEN bench --model micro --runs 1", "\(name)=\(value) $GLEN --help"] {
      let outcome = try CommandLineTool.shell(fine)
      #expect(outcome.status == 0, "\(outcome.error)")
    }
  }

  // MARK: Usage

  @Test(arguments: [
    [], ["--bogus"], ["train"], ["train", "--corpus", "x"], ["index", "--model", "x"], ["search"],
    ["search", "x"], ["search", "x", "y", "--top", "0"], ["search", "x", "y", "--top", "-1"],
    ["search", "x", "y", "--top", "many"], ["search", "x", "y", "--beam", "0"],
    ["search", "x", "y", "--beam", "3", "--exact"], ["search", "x", "y", "--bogus"],
    ["evaluate", "--corpus", "x"],
    ["evaluate", "x", "--corpus", "y", "--baseline", "bm25", "--hybrid", "rrf"],
    ["evaluate", "--corpus", "y", "--baseline", "bm25", "--beam", "3"],
    ["evaluate", "x", "--corpus", "y", "--hybrid", "rrf", "--tune", "dev"],
    ["quantize", "x", "--type", "int8", "--out", ""], ["selftest", "--only", "nosuch"],
    ["evaluate", "--corpus", "y", "--baseline", "lucene"],
    ["evaluate", "x", "--corpus", "y", "--depth", "0"],
    ["evaluate", "x", "--corpus", "y", "--beam", "0"],
    ["train", "--corpus", "x", "--out", "y", "--phase", "third"],
    ["train", "--corpus", "x", "--out", "y", "--size", "huge"],
    ["train", "--corpus", "x", "--out", "y", "--size", "tiny", "--init", "z"],
    ["train", "--corpus", "x", "--out", "y", "--init", "z", "--starter", "z"],
    ["train", "--corpus", "x", "--out", "y", "--from-scratch", "--starter", "z"],
    ["train", "--corpus", "x", "--out", "y", "--from-scratch", "--init", "z"],
    ["train", "--corpus", "x", "--out", "y", "--phase", "refine", "--size", "micro"],
    ["train", "--corpus", "x", "--out", "y", "--phase", "refine", "--from-scratch"],
    ["train", "--corpus", "x", "--out", "y", "--preset", "secret"],
    ["train", "--corpus", "x", "--out", "y", "--seed", "-1"],
    ["train", "--corpus", "x", "--out", "nowhere", "--phase", "refine"],
    ["train", "--corpus", "x", "--out", "y", "--identifier-length", "0"],
    ["bench", "--model", "tiny", "--length", "999999999"],
    ["bench", "--model", "tiny", "--length", "3,,4"],
    ["bench", "--model", "tiny", "--length", "0"],
    ["bench", "--model", "tiny", "--refine", "--negatives", "-1"],
    ["bench", "--model", "tiny", "--refine", "--train"],
    ["bench", "--model", "folder", "--vocabulary", "9000"],
    ["train", "--corpus", "x", "--out", "y", "--set", "steps"],
    ["train", "--corpus", "x", "--out", "y", "--set", "stpes=3"],
    ["train", "--corpus", "x", "--out", "y", "--set", "identifierLength=0"],
    ["ablate", "--corpus", "x", "--out", "y", "--set", "refinement.anneals=3"],
    ["ablate", "--corpus", "x", "--out", "y", "--only", "no-words"],
    ["ablate", "--corpus", "x", "--out", "y", "--seeds", "0"],
    ["ablate", "--corpus", "x"],
    ["search", "x", "y", "--minimum-probability", "1.5"],
    ["evaluate", "--corpus", "x", "--baseline", "bm25", "--reliability"],
    ["train", "--corpus", "x", "--out", "y", "--device", "tpu"],
    ["bench", "--model", "tiny", "--batch", "0"], ["states", "--model", "x", "--out", "y"],
    ["states", "--model", "x", "--out", "y", "--text", "a", "--ids", "1"], ["sing"],
  ])
  func wrongUsageIs64(arguments: [String]) throws {
    let outcome = try CommandLineTool.run(arguments)
    if arguments.isEmpty {
      #expect(outcome.status == 0 || outcome.status == 64)
    } else {
      Self.expect(64, "Usage", from: outcome)
    }
  }

  @Test func aDeviceThatIsNotThereIsUsage() throws {
    let folder = try ToyProject.folder()
    Self.expect(
      64, "CUDA",
      from: try CommandLineTool.run(
        "index", "--model", folder.path("model"), "--corpus", folder.path("corpus"), "--out",
        folder.path("never"), "--device", "cuda"))
  }

  // MARK: Missing input

  @Test func missingInputIs66() throws {
    let folder = try ToyProject.folder()
    let output = try TemporaryFolder()
    let (none, out) = (output.path("none"), output.path("out"))
    let (corpus, model) = (folder.path("corpus"), folder.path("model"))
    for arguments in [
      ["train", "--corpus", none, "--out", out],
      ["train", "--corpus", corpus, "--out", out, "--recipe", none],
      ["train", "--corpus", corpus, "--out", out, "--init", none],
      ["train", "--corpus", corpus, "--out", out, "--starter", none],
      ["train", "--corpus", corpus, "--out", out, "--tokenizer", none],
      ["train", "--corpus", corpus, "--out", out, "--generated-queries", none],
      ["ablate", "--corpus", none, "--out", out],
      ["ablate", "--corpus", corpus, "--out", out, "--recipe", none],
      ["ablate", "--corpus", corpus, "--out", out, "--init", none],
      ["pretrain", "--text", none, "--out", out],
      ["pretrain", "--text", corpus + "/corpus.jsonl", "--recipe", none, "--out", out],
      ["pretrain", "--text", corpus + "/corpus.jsonl", "--init", none, "--out", out],
      ["generate-queries", "--model", none, "--corpus", corpus, "--out", out],
      ["generate-queries", "--model", model, "--corpus", none, "--out", out],
      [
        "index", "--corpus", corpus, "--model", model, "--out", output.path("index"),
        "--identifiers", none,
      ],
      ["add", none, "--corpus", corpus], ["add", folder.path("index"), "--corpus", none],
      ["remove", none, "--id", "x"], ["compact", none], ["report", none],
      ["selftest", "--parity", none, "--only", "no such operation"],
      ["index", "--corpus", corpus, "--model", none, "--out", out],
      ["index", "--corpus", none, "--model", model, "--out", out],
      ["search", none, "question"], ["inspect", none], ["verify", none],
      ["evaluate", none, "--corpus", corpus],
      ["evaluate", "--baseline", "bm25", "--corpus", none],
      ["states", "--model", none, "--text", "a", "--out", out],
      ["bench", "--model", none],
    ] {
      Self.expect(66, "error: ", none, from: try CommandLineTool.run(arguments))
    }
    Self.expect(
      66, "no split 'other'", "test, train",
      from: try CommandLineTool.run(
        "evaluate", folder.path("index"), "--corpus", corpus, "--split", "other"))
    Self.expect(
      66, "corpus.jsonl",
      from: try CommandLineTool.run("index", "--corpus", model, "--model", model, "--out", out))
    #expect(!FileManager.default.fileExists(atPath: output.path("out/model.safetensors")))
  }

  // MARK: Bad data

  @Test(arguments: [
    ("corpus.jsonl", "", "no entries"), ("corpus.jsonl", "\n \n", "no entries"),
    ("corpus.jsonl", "{\"_id\": \"1\", \"text\": \"a\"}\n{\"_id\": \"2\",\n", "line 2"),
    (
      "corpus.jsonl", "{\"_id\": \"1\", \"text\": \"a\"}\n{\"_id\": \"1\", \"text\": \"b\"}\n",
      "'1'"
    ),
    ("corpus.jsonl", "{\"text\": \"a\"}\n", "line 1"), ("corpus.jsonl", "[]\n", "line 1"),
    ("queries.jsonl", "nonsense\n", "line 1"), ("queries.jsonl", "", "no entries"),
    ("qrels/train.tsv", "qd0-1\n", "line 1"),
    ("qrels/train.tsv", "qd0-1\td0-1\tx\nqd0-1\td0-1\ty\n", "line"),
    ("qrels/train.tsv", "qd0-1\tmissing\t1\n", "'missing'"),
    ("qrels/train.tsv", "missing\td0-1\t1\n", "'missing'"),
    ("qrels/test.tsv", "qd0-1\tmissing\t1\n", "'missing'"),
  ])
  func badDataIs65AndNamesFileAndLine(file: String, text: String, words: String) throws {
    let project = try ToyProject.copy("corpus", "recipe.json")
    try project.write(Data(text.utf8), to: "corpus/" + file)
    let shared = try ToyProject.folder()
    let command =
      file == "qrels/test.tsv"
      ? ["evaluate", shared.path("index"), "--corpus", project.path("corpus")]
      : [
        "train", "--corpus", project.path("corpus"), "--out", project.path("out"), "--recipe",
        project.path("recipe.json"),
      ]
    Self.expect(65, "error: ", file, words, from: try CommandLineTool.run(command))
    if file == "corpus.jsonl" {
      Self.expect(
        65, file, words,
        from: try CommandLineTool.run(
          "index", "--model", shared.path("model"), "--corpus", project.path("corpus"), "--out",
          project.path("index")))
      #expect(!FileManager.default.fileExists(atPath: project.path("index")))
    }
  }

  /// Measures over documents that the index does not have would all be 0.
  @Test func anIndexOfAnotherCorpusIsNotEvaluated() throws {
    let project = try ToyProject.copy("corpus")
    let index = try ToyProject.folder().path("index")
    let arguments = ["evaluate", index, "--corpus", project.path("corpus")]
    for file in ["corpus.jsonl", "qrels/test.tsv"] {
      let path = project.path("corpus/" + file)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      // Of three documents a subject has, one is asked for; here by another name.
      let partly = text.replacingOccurrences(of: "d9-0", with: "other-9")
        .replacingOccurrences(of: "qother-9", with: "qd9-0")
      try project.write(Data(partly.utf8), to: "corpus/" + file)
    }
    let partly = try CommandLineTool.run(arguments)
    #expect(partly.status == 0, "\(partly.error)")
    #expect(partly.error.contains("of 10 relevant documents the index lacks 1;"))
    for file in ["corpus.jsonl", "qrels/test.tsv"] {
      let path = project.path("corpus/" + file)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let other = text.replacingOccurrences(of: "\"d", with: "\"e")
        .replacingOccurrences(of: "\td", with: "\te")
      try project.write(Data(other.utf8), to: "corpus/" + file)
    }
    try project.write(Data("query-id\tcorpus-id\tscore\n".utf8), to: "corpus/qrels/train.tsv")
    Self.expect(
      65, "the index has none of the relevant documents",
      from: try CommandLineTool.run(arguments))
  }

  @Test func invalidUTF8IsNamed() throws {
    let project = try ToyProject.copy("corpus")
    var data = Data("{\"_id\": \"1\", \"text\": \"a\"}\n{\"_id\": \"2\", \"text\": \"".utf8)
    data += [0xFF, 0xC0, 0x80] + Data("\"}\n".utf8)
    try project.write(data, to: "corpus/corpus.jsonl")
    Self.expect(
      65, "corpus.jsonl", "line 2", "UTF-8",
      from: try CommandLineTool.run(
        "index", "--model", ToyProject.folder().path("model"), "--corpus", project.path("corpus"),
        "--out", project.path("index")))
  }

  @Test func aQuestionInInvalidUTF8IsAnswered() throws {
    let outcome = try CommandLineTool.shell(
      "\"$GLEN\" search \"$1\" \"$(printf 'a\\377\\300\\200b')\" --json",
      try ToyProject.folder().path("index"))
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.output.contains("\"hits\""))
  }

  @Test func aDamagedModelIsNamed() throws {
    let project = try ToyProject.copy("model")
    let weights = URL(fileURLWithPath: project.path("model/model.safetensors"))
    let whole = try Data(contentsOf: weights)
    let corpus = try ToyProject.folder().path("corpus")
    func index() throws -> CommandLineTool.Outcome {
      try CommandLineTool.run(
        "index", "--model", project.path("model"), "--corpus", corpus, "--out",
        project.path("index"))
    }
    for length in [0, 7, 100, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: weights)
      Self.expect(65, "model.safetensors", from: try index())
    }
    try whole.write(to: weights)
    let config = URL(fileURLWithPath: project.path("model/config.json"))
    let text = try String(contentsOf: config, encoding: .utf8)
    for (old, new, words) in [
      ("\"d_ff\" : 512", "\"d_ff\" : 513", "wi.weight"),
      ("\"num_layers\" : 2", "\"num_layers\" : 3", "encoder.block.2"),
      ("\"d_model\" : 128", "\"d_model\" : 0", "d_model"), ("{", "[", "config.json"),
      ("\"relu\"", "\"swish\"", "swish"),
    ] {
      #expect(text.contains(old))
      try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: config)
      Self.expect(65, words, from: try index())
    }
    try Data(text.utf8).write(to: config)
    try Data("junk".utf8).write(to: URL(fileURLWithPath: project.path("model/spiece.model")))
    Self.expect(65, "tokenizer", from: try index())
    #expect(!FileManager.default.fileExists(atPath: project.path("index")))
  }

  @Test func aDamagedIndexIsNamed() throws {
    let project = try ToyProject.copy("index")
    let index = project.path("index")
    let names = try FileManager.default.contentsOfDirectory(atPath: index)
    for name in names where !name.hasPrefix("model-") {
      let file = URL(fileURLWithPath: index + "/" + name)
      let whole = try Data(contentsOf: file)
      try whole.dropLast(1).write(to: file)
      for command in [["search", index, "q"], ["verify", index], ["inspect", index]] {
        Self.expect(65, name, from: try CommandLineTool.run(command))
      }
      Self.expect(
        66, "there is none", from: try CommandLineTool.run("search", file.path, "question"))
      var flipped = whole
      flipped[whole.count / 2] ^= 0x10
      try flipped.write(to: file)
      Self.expect(65, name, from: try CommandLineTool.run("verify", index))
      try whole.write(to: file)
    }
    let model = try #require(names.first { $0.hasPrefix("model-") })
    let vocabulary = URL(fileURLWithPath: index + "/" + model + "/spiece.model")
    let whole = try Data(contentsOf: vocabulary)
    try FileManager.default.removeItem(at: vocabulary)
    try whole.dropLast(9).write(to: vocabulary)
    Self.expect(65, "spiece.model", from: try CommandLineTool.run("inspect", index))
    try FileManager.default.removeItem(atPath: index + "/" + model)
    Self.expect(65, model, "missing", from: try CommandLineTool.run("search", index, "q"))
    Self.expect(65, model, "missing", from: try CommandLineTool.run("verify", index))
  }

  /// A save that is cut off between two files, or a file of another model.
  @Test func anotherModelsVocabularyIsRefusedEverywhere() throws {
    let project = try ToyProject.copy("model", "corpus")
    let (model, corpus) = (project.path("model"), project.path("corpus"))
    let whole = try Data(contentsOf: URL(fileURLWithPath: model + "/spiece.model"))
    try project.write(whole, to: "own.model")
    // Still one that SentencePiece reads: its last field is repeated.
    let other = whole + Data([0x1A, 0x00])
    try project.write(other, to: "model/spiece.model")
    let output = try TemporaryFolder()
    for arguments in [
      ["quantize", model, "--type", "bf16", "--portable", "--out", output.path("a")],
      ["train", "--corpus", corpus, "--init", model, "--out", output.path("b")],
      ["train", "--corpus", corpus, "--starter", model, "--out", output.path("c")],
      ["generate-queries", "--model", model, "--corpus", corpus, "--out", output.path("d")],
      ["index", "--model", model, "--corpus", corpus, "--out", output.path("e")],
    ] {
      Self.expect(
        65, "not the vocabulary that the weights", from: try CommandLineTool.run(arguments))
    }
    try project.write(whole, to: "model/spiece.model")
    try project.write(other, to: "other.model")
    Self.expect(
      65, "other.model", "not the vocabulary that the weights",
      from: try CommandLineTool.run(
        "train", "--corpus", corpus, "--init", model, "--tokenizer", project.path("other.model"),
        "--out", output.path("f")))
  }

  @Test func aSplitWithoutAnythingRelevantIsAnError() throws {
    let project = try ToyProject.copy("corpus")
    try project.write(
      Data("query-id\tcorpus-id\tscore\nqd1-0\td1-0\t0\n".utf8), to: "corpus/qrels/none.tsv")
    Self.expect(
      65, "'none'", "grade above 0",
      from: try CommandLineTool.run(
        "evaluate", "--baseline", "bm25", "--corpus", project.path("corpus"), "--split", "none"))
  }

  @Test func aBadRecipeIsNamed() throws {
    let project = try ToyProject.copy("corpus")
    for (text, words) in [
      ("{\"stpes\": 3}", "stpes"), ("{\"identifierLength\": \"x\"}", "identifierLength"),
      ("{\"identifierLength\": 0}", "identifierLength"), ("not JSON", "recipe.json"),
      ("", "recipe.json"),
    ] {
      try project.write(Data(text.utf8), to: "recipe.json")
      Self.expect(
        65, "recipe.json", words,
        from: try CommandLineTool.run(
          "train", "--corpus", project.path("corpus"), "--out", project.path("out"), "--recipe",
          project.path("recipe.json")))
    }
    #expect(!FileManager.default.fileExists(atPath: project.path("out")))
  }

  /// A loss beyond the limit ends the run, names examples, and saves no model.
  @Test func aRunThatDivergesNamesItsExamples() throws {
    let project = try ToyProject.copy("corpus", "recipe.json")
    Self.expect(
      65, "keywords phase diverged at step 0", "a loss of ", "in batch 0 (", "'d", "more)",
      from: try CommandLineTool.run(
        "train", "--corpus", project.path("corpus"), "--out", project.path("out"), "--recipe",
        project.path("recipe.json"), "--set", "keywords.optimization.largestLoss=0.01"))
    #expect(!FileManager.default.fileExists(atPath: project.path("out/model.safetensors")))
  }

  @Test func resumingWithoutACheckpointIsAnError() throws {
    let project = try ToyProject.copy("corpus", "recipe.json")
    Self.expect(
      65, "no checkpoint",
      from: try CommandLineTool.run(
        "train", "--corpus", project.path("corpus"), "--out", project.path("out"), "--recipe",
        project.path("recipe.json"), "--resume"))
  }

  // MARK: Unusual questions

  @Test func anEmptyAndAVeryLongQuestionAreAnswered() throws {
    let index = try ToyProject.folder().path("index")
    // As long as the system lets one argument be.
    for question in ["", " ", String(repeating: "bees and ", count: 14_000)] {
      let begin = ContinuousClock.now
      let outcome = try CommandLineTool.run("search", index, question, "--json")
      #expect(outcome.status == 0, "\(outcome.error)")
      #expect(outcome.output.contains("\"hits\":[{"))
      #expect(ContinuousClock.now - begin < .seconds(10))
    }
  }

  // MARK: Output that cannot be written

  @Test func anOutputThatCannotBeMadeIsNamed() throws {
    let project = try ToyProject.copy("corpus", "recipe.json", "model")
    try project.write(Data("x".utf8), to: "file")
    let out = project.path("file/out")
    Self.expect(
      74, "file",
      from: try CommandLineTool.run(
        "train", "--corpus", project.path("corpus"), "--out", out, "--recipe",
        project.path("recipe.json")))
    Self.expect(
      74, "file",
      from: try CommandLineTool.run(
        "index", "--corpus", project.path("corpus"), "--model", project.path("model"), "--out", out)
    )
    Self.expect(
      74, "file",
      from: try CommandLineTool.run(
        "states", "--model", project.path("model"), "--text", "a", "--out", out))
    Self.expect(
      74, "file",
      from: try CommandLineTool.run(
        "evaluate", "--baseline", "bm25", "--corpus", project.path("corpus"), "--run", out))
    Self.expect(
      74, "file",
      from: try CommandLineTool.run(
        "evaluate", ToyProject.folder().path("index"), "--corpus", project.path("corpus"), "--run",
        out))
    #expect(try Data(contentsOf: URL(fileURLWithPath: project.path("file"))) == Data("x".utf8))
    try FileManager.default.createSymbolicLink(
      atPath: project.path("link"), withDestinationPath: "nothing")
    Self.expect(
      74, "link",
      from: try CommandLineTool.run(
        "index", "--corpus", project.path("corpus"), "--model", project.path("model"), "--out",
        project.path("link")))
  }

  /// A folder that is no index is refused before a document is read by the model; nothing changes.
  @Test func aFolderOfSomethingElseIsNotIndexedInto() throws {
    let project = try ToyProject.copy("corpus")
    let model = try ToyProject.folder().path("model")
    try project.write(Data("{}".utf8), to: "app/manifest.json")
    for (name, words) in [("app", "manifest.json"), ("corpus", "corpus.jsonl")] {
      let before = try FileManager.default.contentsOfDirectory(atPath: project.path(name))
      Self.expect(
        74, name, words, "holds something else",
        from: try CommandLineTool.run(
          "index", "--corpus", project.path("corpus"), "--model", model, "--out",
          project.path(name)))
      let after = try FileManager.default.contentsOfDirectory(atPath: project.path(name))
      #expect(after.sorted() == before.sorted())
    }
  }

  /// A limit on the size of files stands in for a full disk.
  @Test func aFullDiskKeepsTheOldIndex() throws {
    let project = try ToyProject.copy("corpus", "model", "index")
    let before = try CommandLineTool.run("search", project.path("index"), "bees", "--json")
    #expect(before.status == 0)
    // Other documents, so that other files must be written.
    try project.write(
      Data((0..<900).map { "{\"_id\": \"n\($0)\", \"text\": \"new \($0)\"}\n" }.joined().utf8),
      to: "corpus/corpus.jsonl")
    let outcome = try CommandLineTool.shell(
      "trap '' XFSZ; ulimit -f 4; exec \"$GLEN\" index --model \"$1\" --corpus \"$2\" --out \"$3\"",
      project.path("model"), project.path("corpus"), project.path("index"))
    Self.expect(74, "File too large", from: outcome)
    let after = try CommandLineTool.run("search", project.path("index"), "bees", "--json")
    #expect(after.output == before.output)
    #expect(try CommandLineTool.run("verify", project.path("index")).status == 0)
    let sound = try CommandLineTool.run("verify", project.path("index"), "--json")
    #expect(sound.output == "{\"index\":\"\(project.path("index"))\",\"state\":\"sound\"}\n")
    let names = try FileManager.default.subpathsOfDirectory(atPath: project.path("index"))
    #expect(!names.contains { $0.contains(".tmp") || $0.contains(".writing") })
  }

  @Test func aFullDiskKeepsTheOldModel() throws {
    let project = try ToyProject.copy("corpus", "recipe.json", "model")
    let file = URL(fileURLWithPath: project.path("model/model.safetensors"))
    let before = try Data(contentsOf: file)
    let outcome = try CommandLineTool.shell(
      """
      trap '' XFSZ; ulimit -f 100
      exec "$GLEN" train --corpus "$1" --out "$2" --init "$2" --recipe "$3" --phase keywords
      """, project.path("corpus"), project.path("model"), project.path("recipe.json"))
    Self.expect(74, "model.safetensors", "File too large", from: outcome)
    #expect(try Data(contentsOf: file) == before)
    let names = try FileManager.default.contentsOfDirectory(atPath: project.path("model"))
    #expect(!names.contains { $0.contains(".writing") })
  }

  /// Where there is no room for a checkpoint the run ends; with room it goes on from the last one,
  /// and ends with the bytes of a run that always had room.
  @Test func aFullDiskAtACheckpointLosesNothing() throws {
    let project = try ToyProject.copy("corpus")
    try project.write(Data(ToyProject.recipe(steps: 200).utf8), to: "recipe.json")
    let train = """
      "$GLEN" train --corpus "$1" --recipe "$2" --phase keywords --cache "$4" \
      --set keywords.optimization.checkpointInterval=10 --out
      """
    func run(_ script: String) throws -> CommandLineTool.Outcome {
      try CommandLineTool.shell(
        script, project.path("corpus"), project.path("recipe.json"), project.path("run"),
        project.path("cache"), project.path("whole"))
    }
    #expect(try run("exec \(train) \"$5\"").status == 0)
    let killed = try run(
      """
      \(train) "$3" & process=$!
      while [ ! -e "$3/checkpoint.safetensors" ] && kill -0 $process; do sleep 0.01; done
      kill -9 $process
      """)
    #expect(killed.status == 0, "\(killed.error)")
    let checkpoint = URL(fileURLWithPath: project.path("run/checkpoint.safetensors"))
    let before = try Data(contentsOf: checkpoint)
    let full = try run("trap '' XFSZ; ulimit -f 100; exec \(train) \"$3\" --resume")
    Self.expect(74, "checkpoint.safetensors", "File too large", from: full)
    #expect(try Data(contentsOf: checkpoint) == before)
    let resumed = try run("exec \(train) \"$3\" --resume")
    #expect(resumed.status == 0, "\(resumed.error)")
    for name in ["model.safetensors", "spiece.model"] {
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: project.path("run/" + name)))
          == Data(contentsOf: URL(fileURLWithPath: project.path("whole/" + name))), "\(name)")
    }
  }

  #if os(Linux)
    @Test func standardOutputThatIsFullIsAnError() throws {
      let index = try ToyProject.folder().path("index")
      for command in ["search \"$1\" bees --json", "inspect \"$1\"", "inspect \"$1\" --documents"] {
        let outcome = try CommandLineTool.shell("exec \"$GLEN\" \(command) > /dev/full", index)
        Self.expect(74, "standard output", from: outcome)
      }
    }

    /// Where nobody reads on, and SIGPIPE is ignored as Python's subprocesses inherit it.
    @Test func aClosedPipeIsNoTrap() throws {
      let index = try ToyProject.folder().path("index")
      let outcome = try CommandLineTool.shell(
        "trap '' PIPE; { \"$GLEN\" inspect \"$1\" --documents; echo $? >&2; } | true", index)
      let status = outcome.error.split(separator: "\n").last.map(String.init) ?? ""
      #expect(["0", "74"].contains(status), "\(outcome.error)")
    }
  #endif
}
