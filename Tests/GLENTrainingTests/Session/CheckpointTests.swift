import Foundation
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// Stopping and going on: a resumed run is the uninterrupted one, to the last bit.
@Suite("Checkpoints") struct CheckpointTests {
  private static func recipe(validates: Bool) -> Recipe {
    var recipe = ToyCorpus.recipe
    recipe.keywords.optimization.validationInterval = validates ? 2 : 0
    recipe.refinement.optimization.validationInterval = validates ? 2 : 0
    return recipe
  }

  /// A measure that goes up and down as training goes on and follows from the model alone.
  private static func value(of model: T5Model) throws -> Double {
    var hash: UInt32 = 2_166_136_261
    for value in try model.table.values() { hash = (hash ^ value.bitPattern) &* 16_777_619 }
    return Double(hash)
  }

  private static func trainer(at url: URL, validates: Bool) -> PhaseTrainer {
    var trainer = PhaseTrainer(key: RandomKey(seed: 4))
    trainer.checkpointURL = url
    trainer.fingerprint = ["recipe": "{\"n\": 3}", "seed": "1", "corpus": "c"]
    if validates { trainer.validate = { try value(of: $0) } }
    return trainer
  }

  /// The final model without interruption, and with a stop before each of the given updates.
  private static func train(
    _ objective: () throws -> some TrainingObjective, validates: Bool, stops: [Int]
  ) throws -> [String: [UInt32]] {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var isFirst = true
    for stop in stops + [Int.max] {
      var trainer = trainer(at: url, validates: validates)
      var objective = try objective()
      // What is resumed begins from other weights, which the checkpoint must replace.
      var model = try ToyCorpus.model(seed: isFirst ? 1 : 99)
      if !isFirst {
        #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url)))
      }
      isFirst = false
      var last = trainer.step
      trainer.report = { last = $0.step }
      trainer.shouldStop = { last >= stop }
      if stop == Int.max {
        try trainer.train(&model, &objective)
        return try bits(of: model)
      }
      #expect(throws: CancellationError.self) { try trainer.train(&model, &objective) }
      #expect(trainer.step == stop)
    }
    return [:]
  }

  @Test(arguments: [false, true], [[0], [1], [4], [7], [1, 2, 5]])
  func aResumedKeywordPhaseIsTheUninterruptedOne(validates: Bool, stops: [Int]) throws {
    let recipe = Self.recipe(validates: validates)
    let whole = try Self.train(
      { try ToyCorpus.keywords(recipe) }, validates: validates, stops: [])
    let parts = try Self.train(
      { try ToyCorpus.keywords(recipe) }, validates: validates, stops: stops)
    let isSame = whole == parts
    #expect(isSame)
  }

  @Test(arguments: [false, true], [[0], [1], [4], [7], [1, 2, 5]])
  func aResumedRefinementIsTheUninterruptedOne(validates: Bool, stops: [Int]) throws {
    let recipe = Self.recipe(validates: validates)
    let whole = try Self.train(
      { try ToyCorpus.refinement(recipe) }, validates: validates, stops: [])
    let parts = try Self.train(
      { try ToyCorpus.refinement(recipe) }, validates: validates, stops: stops)
    let isSame = whole == parts
    #expect(isSame)
  }

  /// The best validation comes after the third update, so that a patience of two ends the phase
  /// after the fifth, wherever it is stopped, and even where it is resumed from its own end.
  @Test(arguments: [[1], [3], [4], [1, 3, 4], [5]])
  func aPhaseThatEndsEarlyEndsThereWhenResumed(stops: [Int]) throws {
    var recipe = Self.recipe(validates: false)
    recipe.keywords.optimization.validationInterval = 1
    var steps: [Double: Int] = [:]
    func train(_ patience: Int, _ stops: [Int]) throws -> (bits: [String: [UInt32]], last: Int) {
      recipe.keywords.optimization.patience = patience
      let folder = try TemporaryFolder()
      let url = folder.url.appendingPathComponent("checkpoint.safetensors")
      for stop in stops + [Int.max] {
        var trainer = Self.trainer(at: url, validates: false)
        trainer.validate = { model in
          let value = try Self.value(of: model)
          if patience == 0 { steps[value] = steps.count }
          return -abs(Double(steps[value] ?? 99) - 3)
        }
        var objective = try ToyCorpus.keywords(recipe)
        var model = try ToyCorpus.model(seed: stop == stops.first ?? .max ? 1 : 99)
        if stop != stops.first ?? .max {
          #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url)))
        }
        var last = trainer.step
        trainer.report = { last = $0.step }
        trainer.shouldStop = { last >= stop }
        if stop < 5 {
          #expect(throws: CancellationError.self) { try trainer.train(&model, &objective) }
        } else {
          try trainer.train(&model, &objective)
          try trainer.saveCheckpoint(model, objective, memory: objective.memory)
        }
        if stop == .max { return (try bits(of: model), last) }
      }
      return ([:], 0)
    }
    let whole = try train(0, [])
    #expect(whole.last == 8)
    let parts = try train(2, stops)
    #expect(parts.last == 5)
    let isSame = whole.bits == parts.bits
    #expect(isSame)
  }

  @Test func theIntervalWritesCheckpointsThatResume() throws {
    var recipe = Self.recipe(validates: false)
    recipe.refinement.optimization.checkpointInterval = 3
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var trainer = Self.trainer(at: url, validates: false)
    var objective = try ToyCorpus.refinement(recipe)
    var model = try ToyCorpus.model()
    var steps: [Int: String] = [:]
    trainer.report = { progress in
      steps[progress.step] = (try? SafetensorsFile(contentsOf: url))?.metadata["step"]
    }
    try trainer.train(&model, &objective)
    // After updates 3 and 6 (a report comes before its own checkpoint).
    #expect(steps == [4: "3", 5: "3", 6: "3", 7: "6", 8: "6"])
    var other = Self.trainer(at: url, validates: false)
    var resumed = try ToyCorpus.model(seed: 99)
    var again = try ToyCorpus.refinement(recipe)
    #expect(try other.resume(&resumed, &again, from: Checkpoint(contentsOf: url)))
    try other.train(&resumed, &again)
    let isSame = try bits(of: resumed) == bits(of: model)
    #expect(isSame)
  }

  @Test func aCancelledTaskLeavesACheckpoint() async throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      var trainer = Self.trainer(at: url, validates: false)
      var objective = try ToyCorpus.keywords()
      var model = try ToyCorpus.model()
      try trainer.train(&model, &objective)
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try SafetensorsFile(contentsOf: url).metadata["step"] == "0")
  }

  // MARK: What is refused

  /// A checkpoint after four updates of the refinement, in parts that a test may change.
  private struct Parts {
    var contents: [(name: String, content: SafetensorsFile.Content)] = []
    var metadata: [String: String]
    let url: URL

    init(in folder: TemporaryFolder) throws {
      url = folder.url.appendingPathComponent("checkpoint.safetensors")
      var trainer = CheckpointTests.trainer(at: url, validates: true)
      var objective = try ToyCorpus.refinement(CheckpointTests.recipe(validates: true))
      var model = try ToyCorpus.model()
      var last = 0
      trainer.report = { last = $0.step }
      trainer.shouldStop = { last == 4 }
      #expect(throws: CancellationError.self) { try trainer.train(&model, &objective) }
      let file = try SafetensorsFile(contentsOf: url)
      metadata = file.metadata
      for name in file.names where name != "checksum" {
        if name == "memory" {
          let (values, shape) = try file.integers(name)
          contents.append((name, .integers(values, shape: shape)))
        } else {
          // A copy: the file that is mapped here is about to be replaced.
          let tensor = try file.tensor(name)
          contents.append((name, .float(try Tensor(tensor.values(), shape: tensor.shape))))
        }
      }
    }

    func write() throws {
      try SafetensorsFile.write(contents, metadata: metadata, isChecksummed: true, to: url)
    }

    mutating func replace(_ name: String, with content: SafetensorsFile.Content?) {
      contents.removeAll { $0.name == name }
      if let content { contents.append((name, content)) }
    }
  }

  /// Resumes and checks that a refusal changes nothing.
  private static func refusal(
    _ url: URL, fingerprint changes: [String: String] = [:]
  ) throws -> (any Error)? {
    var trainer = trainer(at: url, validates: true)
    trainer.fingerprint.merge(changes) { $1 }
    var objective = try ToyCorpus.refinement(recipe(validates: true))
    var model = try ToyCorpus.model(seed: 99)
    let (before, memory) = (try bits(of: model), objective.memory)
    do {
      _ = try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url))
      return nil
    } catch {
      #expect(try bits(of: model) == before, "the model changed")
      #expect(objective.memory == memory)
      #expect(trainer.step == 0 && trainer.optimizer.step == 0)
      #expect(trainer.optimizer.moments.isEmpty)
      return error
    }
  }

  @Test func oneOfAnotherRecipeIsRefused() throws {
    let folder = try TemporaryFolder()
    let parts = try Parts(in: folder)
    #expect(try Self.refusal(parts.url) == nil)
    var old = parts
    old.metadata = old.metadata.filter { !$0.key.hasPrefix(Checkpoint.fingerprintPrefix) }
    try old.write()
    let version = try Self.refusal(old.url) as? TrainingError
    #expect(version?.description.contains("another version of glen") == true)
    try parts.write()
    for (changes, text) in [
      (["recipe": "{\"n\": 4}"], "another recipe; resume with the same (n is 4 and was 3)"),
      (["seed": "2"], "another seed; resume with the same"),
      (["seed": "2", "corpus": "d"], "another corpus, another seed; resume with the same"),
      (["dev split": "e"], "another dev split; resume with the same"),
    ] {
      let error = try Self.refusal(parts.url, fingerprint: changes) as? TrainingError
      #expect(
        error?.description == "\(parts.url.path): belongs to a run with \(text)",
        "\(error?.description ?? "")")
    }
  }

  @Test func oneOfAnotherPhaseChangesNothing() throws {
    let folder = try TemporaryFolder()
    let parts = try Parts(in: folder)
    var trainer = Self.trainer(at: parts.url, validates: true)
    var objective = try ToyCorpus.keywords()
    var model = try ToyCorpus.model(seed: 99)
    let before = try bits(of: model)
    #expect(
      try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: parts.url)) == false)
    #expect(try bits(of: model) == before, "the model changed")
    #expect(trainer.step == 0)
  }

  @Test(arguments: [
    "shared.weight", "best/shared.weight", "first/shared.weight", "second/shared.weight", "memory",
  ])
  func oneThatLacksSomethingIsRefused(name: String) throws {
    let folder = try TemporaryFolder()
    var parts = try Parts(in: folder)
    let small = try Tensor(repeating: 1, shape: [2])
    parts.replace(name, with: nil)
    try parts.write()
    #expect(try Self.refusal(parts.url) != nil)
    parts.replace(
      name, with: name == "memory" ? .integers([1, 2], shape: [2]) : .float(small))
    try parts.write()
    #expect(try Self.refusal(parts.url) != nil)
  }

  @Test(arguments: [
    ("step", ""), ("step", "-1"), ("step", "9"), ("step", "four"), ("updates", "-1"),
    ("updates", ""), ("best", "x"), ("best", "-"),
  ])
  func oneThatSaysNonsenseIsRefused(key: String, value: String) throws {
    let folder = try TemporaryFolder()
    var parts = try Parts(in: folder)
    parts.metadata[key] = value
    try parts.write()
    let error = try Self.refusal(parts.url) as? TrainingError
    #expect(error?.description.hasPrefix(parts.url.path) == true)
  }

  @Test func oneThatIsCutShortIsRefused() throws {
    let folder = try TemporaryFolder()
    let url = try Parts(in: folder).url
    let whole = try Data(contentsOf: url)
    for length in [0, 7, 200, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: url)
      #expect(try Self.refusal(url) is TensorError)
    }
  }

  /// One bit anywhere: in the header, in a weight, in the checksum.
  @Test func oneWithAFlippedBitIsRefused() throws {
    let folder = try TemporaryFolder()
    let url = try Parts(in: folder).url
    let whole = try Data(contentsOf: url)
    for place in Array(stride(from: 0, to: whole.count, by: whole.count / 97)) + [whole.count - 1] {
      var damaged = whole
      damaged[place] ^= 1 << (place % 8)
      try damaged.write(to: url)
      #expect(throws: TensorError.self, "byte \(place)") { try Checkpoint(contentsOf: url) }
    }
  }

  /// Trains a phase that leaves the checkpoints after its third and its sixth update.
  private static func leaveTwo(at url: URL) throws {
    var trainer = trainer(at: url, validates: false)
    var recipe = recipe(validates: false)
    recipe.keywords.optimization.checkpointInterval = 3
    var objective = try ToyCorpus.keywords(recipe)
    var model = try ToyCorpus.model()
    try trainer.train(&model, &objective)
  }

  /// What is left when the newest is damaged, or gone, is the one before.
  @Test func theOneBeforeIsKept() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    try Self.leaveTwo(at: url)
    var warnings: [String] = []
    func newest() throws -> String? {
      let found = try Checkpoint.newest(at: url) { warnings.append($0) }
      try found.takePlace(of: url)
      return found.file.metadata["step"]
    }
    #expect(try newest() == "6" && warnings.isEmpty)
    var damaged = try Data(contentsOf: url)
    damaged[damaged.count / 2] ^= 4
    try damaged.write(to: url)
    #expect(try newest() == "3" && warnings.count == 1)
    #expect(warnings.first?.contains("does not have its checksum") == true)
    // It is the newest now: a damaged one never becomes the one before the next.
    #expect(try Checkpoint(contentsOf: url).file.metadata["step"] == "3")
    #expect(!FileManager.default.fileExists(atPath: Checkpoint.predecessor(of: url).path))
    try FileManager.default.moveItem(at: url, to: Checkpoint.predecessor(of: url))
    #expect(Checkpoint.exists(at: url))
    #expect(try newest() == "3" && warnings.count == 2)
    // What cannot be read may be sound: nothing is put in its place.
    let aside = folder.url.appendingPathComponent("aside")
    try FileManager.default.copyItem(at: url, to: Checkpoint.predecessor(of: url))
    try FileManager.default.moveItem(at: url, to: aside)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    let unreadable = #expect(throws: TensorError.self) { try newest() }
    #expect(unreadable?.description.contains("is not a regular file") == true)
    #expect(FileManager.default.fileExists(atPath: Checkpoint.predecessor(of: url).path))
    try FileManager.default.removeItem(at: url)
    try FileManager.default.moveItem(at: aside, to: url)
    // Neither is any good.
    for url in [url, Checkpoint.predecessor(of: url)] { try damaged.write(to: url) }
    let error = #expect(throws: TrainingError.self) { try newest() }
    #expect(error?.description.contains("nor is checkpoint.previous.safetensors") == true)
    Checkpoint.remove(at: url)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  /// Behind a symbolic link, to another disk perhaps, both are beside the file itself.
  @Test func theOneBeforeIsBesideTheFileItself() throws {
    let (folder, disk) = (try TemporaryFolder(), try TemporaryFolder())
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let file = disk.url.appendingPathComponent("other.safetensors")
    try Data().write(to: file)
    try FileManager.default.createSymbolicLink(at: url, withDestinationURL: file)
    try Self.leaveTwo(at: url)
    func names(_ folder: TemporaryFolder) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted()
    }
    #expect(try names(disk) == ["other.previous.safetensors", "other.safetensors"])
    try Data("damaged".utf8).write(to: file)
    let found = try Checkpoint.newest(at: url) { _ in }
    try found.takePlace(of: url)
    #expect(found.file.metadata["step"] == "3")
    #expect(try Checkpoint(contentsOf: file).file.metadata["step"] == "3")
    #expect(try names(folder) == ["checkpoint.safetensors"])
    // The file is gone, or its disk: the one before it, or the link, says that a run is here.
    let before = disk.url.appendingPathComponent("other.previous.safetensors")
    try FileManager.default.moveItem(at: file, to: before)
    #expect(Checkpoint.exists(at: url))
    #expect(try Checkpoint.newest(at: url) { _ in }.file.metadata["step"] == "3")
    try FileManager.default.removeItem(at: before)
    #expect(Checkpoint.exists(at: url))
    #expect(throws: TensorError.self) { try Checkpoint.newest(at: url) { _ in } }
    Checkpoint.remove(at: url)
    #expect(try names(disk).isEmpty && names(folder).isEmpty)
  }

  // MARK: What may change

  /// A phase goes on with other rates and a later end; one that has ended does not.
  @Test(arguments: [4, 8]) func stepsAndRatesMayChange(stop: Int) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var recipe = Self.recipe(validates: true)
    func train(resumes: Bool) throws -> (steps: [Int], rates: [Float], bits: [String: [UInt32]]) {
      var trainer = Self.trainer(at: url, validates: true)
      var objective = try ToyCorpus.keywords(recipe)
      var model = try ToyCorpus.model()
      if resumes {
        #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url)))
      }
      var (steps, rates): ([Int], [Float]) = ([], [])
      trainer.report = {
        steps.append($0.step)
        rates.append($0.learningRate)
      }
      trainer.shouldStop = { !resumes && steps.last == stop }
      do {
        try trainer.train(&model, &objective)
        try trainer.saveCheckpoint(model, objective, memory: objective.memory)
      } catch is CancellationError {}
      return (steps, rates, try bits(of: model))
    }
    let first = try train(resumes: false)
    recipe.keywords.optimization.steps = 12
    recipe.keywords.optimization.learningRate = 1e-4
    recipe.keywords.optimization.schedule = .constant
    let second = try train(resumes: true)
    #expect(second.steps == (stop == 8 ? [] : Array(5...12)))
    #expect(second.rates.allSatisfy { $0 == 1e-4 })
    let isSame = second.bits == first.bits
    #expect(isSame == (stop == 8))
    // It has ended now, whatever a recipe says.
    recipe.keywords.optimization.steps = 3
    #expect(try train(resumes: true).steps.isEmpty)
  }

  /// A phase cannot end where no update leads.
  @Test(arguments: [3, 4]) func aPhaseMustHaveUpdatesLeft(steps: Int) throws {
    let folder = try TemporaryFolder()
    let parts = try Parts(in: folder)
    var recipe = Self.recipe(validates: true)
    recipe.refinement.optimization.steps = steps
    var trainer = Self.trainer(at: parts.url, validates: true)
    var objective = try ToyCorpus.refinement(recipe)
    var model = try ToyCorpus.model()
    let error = #expect(throws: TrainingError.self) {
      try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: parts.url))
    }
    #expect(
      error?.description.contains("has 4 updates of the refine phase; expected fewer") == true)
  }

  /// Patience counts the validations that were made, at whatever interval.
  @Test(arguments: [(1, 6), (3, 6), (4, 8)]) func patienceCountsWhatWasMade(
    interval: Int, last: Int
  ) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var recipe = Self.recipe(validates: true)
    recipe.keywords.optimization.steps = 20
    recipe.keywords.optimization.patience = 3
    var ending: TrainingProgress?
    for isResumed in [false, true] {
      // Validations after 2 and 4 updates, none better than the first; one more ends the phase.
      if isResumed { recipe.keywords.optimization.validationInterval = interval }
      var trainer = Self.trainer(at: url, validates: false)
      trainer.validate = { _ in 0.5 }
      var objective = try ToyCorpus.keywords(recipe)
      var model = try ToyCorpus.model()
      if isResumed {
        #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url)))
      }
      var step = trainer.step
      trainer.report = {
        step = $0.step
        if $0.ending != nil { ending = $0 }
      }
      trainer.shouldStop = { !isResumed && step == 5 }
      try? trainer.train(&model, &objective)
    }
    #expect(ending?.step == last && ending?.ending == .noImprovement(validations: 3))
    #expect(ending?.earlyEnding?.contains("was best after 0 updates and not better in 3") == true)
  }

  /// Who validates no more keeps the last model, not one that was the best.
  @Test func withoutValidationTheLastModelIsKept() throws {
    let folder = try TemporaryFolder()
    let parts = try Parts(in: folder)
    var trainer = Self.trainer(at: parts.url, validates: true)
    var objective = try ToyCorpus.refinement(Self.recipe(validates: false))
    var model = try ToyCorpus.model()
    #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: parts.url)))
    #expect(trainer.best == nil)
  }

  #if canImport(Glibc)
    @Test func aFullDiskKeepsTheEarlierCheckpoint() async {
      await #expect(processExitsWith: .success) {
        let folder = try TemporaryFolder()
        let url = try Parts(in: folder).url
        let before = try Data(contentsOf: url)
        var trainer = CheckpointTests.trainer(at: url, validates: false)
        var objective = try ToyCorpus.keywords()
        var model = try ToyCorpus.model()
        trainer.shouldStop = { true }
        signal(SIGXFSZ, SIG_IGN)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        var limit = rlimit()
        try #require(getrlimit(resource, &limit) == 0)
        let old = limit.rlim_cur
        limit.rlim_cur = 10_000
        try #require(setrlimit(resource, &limit) == 0)
        #expect(throws: TensorError.self) { try trainer.train(&model, &objective) }
        limit.rlim_cur = old
        try #require(setrlimit(resource, &limit) == 0)
        #expect(try Data(contentsOf: url) == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(names == ["checkpoint.safetensors"])
      }
    }
  #endif
}
