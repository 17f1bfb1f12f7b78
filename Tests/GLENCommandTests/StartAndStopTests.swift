import Foundation
import Testing

/// What a run begins from and with, and how it is ended.
@Suite("Starts and stops", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct StartAndStopTests {
  #if os(Linux)
    /// See "The stack" in ARCHITECTURE.md.
    @Test func nothingLoadsFoundationsTables() throws {
      let outcome = try CommandLineTool.shell(#"ldd "$GLEN""#)
      #expect(outcome.output.contains("libswiftCore"))
      for library in ["libFoundation.so", "Internationalization", "ICU"] {
        #expect(!outcome.output.contains(library))
      }
    }

    /// OpenBLAS starts a thread for every processor when it is loaded, and `glen` ends them.
    @Test func oneThreadIsOneThread() throws {
      let outcome = try CommandLineTool.shell(
        """
        unset OPENBLAS_NUM_THREADS OMP_NUM_THREADS
        GLEN_THREADS=1 "$GLEN" bench --model micro --runs 10000 > /dev/null &
        for look in 1 2 3 4 5 6 7 8 9; do
          sleep 0.5
          grep -q 'Threads:.1$' /proc/$!/status && break
        done
        grep Threads: /proc/$!/status; kill $!
        """)
      #expect(outcome.output.split(whereSeparator: \.isWhitespace) == ["Threads:", "1"])
    }
  #endif

  /// What a model begins from tells by its feed-forward layers: the starter's are gated.
  @Test func trainingBeginsFromTheStarterUnlessToldOtherwise() throws {
    let source = try ToyProject.folder()
    let out = try TemporaryFolder()
    func isGated(_ name: String, _ options: String...) throws -> Bool {
      let outcome = try CommandLineTool.run(
        [
          "train", "--corpus", source.path("corpus"), "--recipe", source.path("recipe.json"),
          "--phase", "keywords", "--out", out.path(name), "--set",
          "keywords.optimization.steps=1",
        ] + options)
      #expect(outcome.status == 0, "\(outcome.error)")
      let json = try Data(contentsOf: URL(fileURLWithPath: out.path(name + "/config.json")))
      let configuration = try #require(
        JSONSerialization.jsonObject(with: json) as? [String: Any])
      #expect(configuration["d_model"] as? Int == (name == "micro" ? 64 : 128))
      #expect(configuration["vocab_size"] as? Int == 80)
      return configuration["is_gated_act"] as? Bool ?? false
    }
    #expect(try isGated("default"))
    #expect(try !isGated("scratch", "--from-scratch"))
    #expect(try !isGated("micro", "--size", "micro"))
    // A model of one's own lends its layers as the starter does.
    #expect(try isGated("own", "--starter", out.path("default")))
    #expect(try !isGated("other", "--starter", out.path("scratch")))
  }

  /// Ctrl-C, and what a scheduler sends before it kills.
  @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func anInterruptedTrainingIsResumed(signal: Int32)
    throws
  {
    let folder = try TemporaryFolder(ToyProject.files)
    try folder.write(Data(ToyProject.recipe(steps: 300).utf8), to: "recipe.json")
    func arguments(_ name: String) -> [String] {
      [
        "train", "--corpus", folder.path("corpus"), "--out", folder.path(name), "--recipe",
        folder.path("recipe.json"),
      ]
    }
    let running = try CommandLineTool.launch(
      try #require(CommandLineTool.url), arguments("stopped"))
    let begin = ContinuousClock.now
    while !running.errorSoFar().contains("keywords 1/"), running.process.isRunning,
      ContinuousClock.now - begin < .seconds(30)
    {
      Thread.sleep(forTimeInterval: 0.02)
    }
    kill(running.process.processIdentifier, signal)
    let stopped = try CommandLineTool.finish(running)
    #expect(stopped.status == 128 + signal && !stopped.isSignal, "\(stopped.error)")
    #expect(stopped.error.contains("--resume"))
    #expect(stopped.output.isEmpty)
    let checkpoint = folder.path("stopped/checkpoint.safetensors")
    #expect(FileManager.default.fileExists(atPath: checkpoint))
    #expect(!FileManager.default.fileExists(atPath: folder.path("stopped/model.safetensors")))

    let resumed = try CommandLineTool.run(arguments("stopped") + ["--resume"])
    #expect(resumed.status == 0, "\(resumed.error)")
    let step = resumed.error.split(separator: "\n").compactMap {
      $0.wholeMatch(of: /keywords: going on from step (\d+) of 300/).flatMap { Int($0.output.1) }
    }
    #expect(step.count == 1 && (1..<300).contains(step[0]), "\(resumed.error)")
    #expect(!FileManager.default.fileExists(atPath: checkpoint))
    let whole = try CommandLineTool.run(arguments("whole"))
    #expect(whole.status == 0)
    for name in ["model.safetensors", "spiece.model", "glen.json", "config.json"] {
      #expect(
        FileManager.default.contentsEqual(
          atPath: folder.path("stopped/\(name)"), andPath: folder.path("whole/\(name)")), "\(name)")
    }
  }
}
