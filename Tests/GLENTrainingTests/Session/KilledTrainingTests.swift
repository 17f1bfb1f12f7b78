import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

#if canImport(Glibc)
  import Glibc

  /// Training that is killed at random moments and resumed is training that nobody killed: weights,
  /// moments, metrics and identifiers, byte for byte.
  ///
  /// `Scripts/kill-test N` kills more often.
  @Suite("Killed training", .serialized) struct KilledTrainingTests {
    private static let count =
      ProcessInfo.processInfo.environment["GLEN_KILLS"].flatMap(Int.init) ?? 6

    @Test func aKilledRunEndsAsOneThatWasNot() async throws {
      let parent = try TemporaryFolder(ToyCorpus.files)
      let whole = parent.url.appendingPathComponent("whole")
      let duration = try ContinuousClock().measure { try Self.train(parent.url, to: whole) }
      let expected = try Self.outcome(of: whole)
      let run = parent.url.appendingPathComponent("run")
      var generator = GLENTensor.SeededGenerator(RandomKey(seed: 7))
      var (ends, resumptions, mostFiles) = (0, 0, 0)
      for kill in 0..<Self.count {
        let longest = UInt32(max(duration / .microseconds(1), 1000))
        let delay = UInt32.random(in: 0..<longest, using: &generator)
        await #expect(processExitsWith: .signal(SIGKILL)) {
          [path = parent.url.path as String, delay = delay as UInt32] in
          let parent = URL(fileURLWithPath: path)
          Thread.detachNewThread {
            usleep(delay)
            Glibc.kill(getpid(), SIGKILL)
          }
          try KilledTrainingTests.train(parent, to: parent.appendingPathComponent("run"))
          while true { sleep(1) }
        }
        mostFiles = max(mostFiles, try Self.checkpoints(in: run).count)
        if Self.hasEnded(run) {
          #expect(try Self.outcome(of: run) == expected, "after kill \(kill)")
          try FileManager.default.removeItem(at: run)
          ends += 1
        } else if FileManager.default.fileExists(atPath: Self.checkpoint(in: run).path) {
          resumptions += 1
        }
      }
      try Self.train(parent.url, to: run)
      #expect(try Self.outcome(of: run) == expected, "at the end")
      print("\(Self.count) kills, \(resumptions) resumptions, \(ends + 1) runs to the end")
      // The checkpoint, and at most one that a kill cut short.
      #expect(mostFiles <= 2)
      let names = try FileManager.default.contentsOfDirectory(atPath: run.path)
      #expect(!names.contains { $0.contains(".writing-") || $0.hasPrefix("checkpoint") })
    }

    private static func checkpoint(in folder: URL) -> URL {
      folder.appendingPathComponent("checkpoint.safetensors")
    }

    private static func checkpoints(in folder: URL) throws -> [String] {
      guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
      return try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
        $0.hasPrefix("checkpoint.safetensors")
      }
    }

    private static func hasEnded(_ folder: URL) -> Bool {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      return names.contains("model.safetensors") && !names.contains("checkpoint.safetensors")
    }

    /// Trains, or goes on where the folder's checkpoint is, and keeps the last checkpoints of both
    /// phases under other names.
    private static func train(_ corpus: URL, to output: URL) throws {
      var recipe = ToyCorpus.recipe
      for path in [\Recipe.keywords.optimization, \.refinement.optimization] {
        recipe[keyPath: path].validationInterval = 3
        recipe[keyPath: path].checkpointInterval = 2
        recipe[keyPath: path].steps = 15
      }
      var session = TrainingSession(recipe: recipe, start: .random(ToyCorpus.configuration()))
      session.resumes = FileManager.default.fileExists(atPath: checkpoint(in: output).path)
      let log = RunLog(folder: output)
      session.report = { progress in
        log.record(progress)
        guard progress.step == progress.steps else { return }
        // Of the step before the last: it has the moments, the sampler's table and the best model.
        let kept = output.appendingPathComponent("last-\(progress.phase)")
        unlink(kept.path)
        link(checkpoint(in: output).path, kept.path)
      }
      _ = try session.run(RetrievalDataset(contentsOf: corpus), to: output)
    }

    /// Everything that a run leaves, apart from times.
    private struct Outcome: Equatable {
      var files: [String: Data] = [:]
      var metrics: [String] = []
      var tokens: [[Int32]] = []
      var weights: [[Float]] = []
    }

    private static func outcome(of folder: URL) throws -> Outcome {
      var outcome = Outcome()
      for name in [
        "model.safetensors", "spiece.model", "glen.json", "recipe.json", "config.json",
        "last-keywords", "last-refine",
      ] {
        outcome.files[name] = try Data(contentsOf: folder.appendingPathComponent(name))
      }
      outcome.metrics = try RunLog.records(in: folder).map { record in
        let values = record.values.filter { !$0.key.hasPrefix("speed/") }
        return "\(record.phase) \(record.step) \(values.sorted { $0.key < $1.key })"
      }
      #expect(outcome.metrics.count == 32, "30 updates, and what either phase begins with")
      let dataset = try RetrievalDataset(
        contentsOf: folder.deletingLastPathComponent())
      let index = try Indexer(model: ModelFolder(opening: folder)).index(dataset.documents)
      for document in 0..<index.snapshot.documentCount {
        outcome.tokens.append(index.snapshot.tables.tokens(ofDocument: document))
        outcome.weights.append(index.snapshot.tables.weights(ofDocument: document))
      }
      return outcome
    }
  }
#endif
