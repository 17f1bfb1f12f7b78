import ArgumentParser
import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor

struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Round a model's weights to 8 or 16 bits, for faster answers on the processor.",
    discussion: """
      The new folder is indexed, searched and evaluated as any other, and cannot be trained. An index
      belongs to the model that made it: index the corpus again with the new one. With --portable the
      weights are rounded and nothing else: half the bytes to pass on, which `train --init` and other
      loaders of T5 widen again.
      """)

  @Argument(help: "The folder of a float32 model.") var model: String
  @Option(help: "int8 or bf16.") var type: LowPrecision
  @Flag(help: "Plain BF16 that can be trained and that Hugging Face loads.") var portable = false
  @Option(help: "The folder to write; an earlier model there is replaced.") var out: String

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
    if portable, type != .bf16 { throw ValidationError("--portable goes with --type bf16") }
  }

  func run() throws {
    let (from, to) = (URL(fileURLWithPath: model), URL(fileURLWithPath: out))
    guard from.resolvingSymlinksInPath().path != to.resolvingSymlinksInPath().path else {
      throw ValidationError("--out is the model itself; give another folder")
    }
    var t5 = try T5Model(folder: from, warn: Console.error)
    try t5.requireFloat32(path: from.path, to: "quantize")
    if let name = try t5.nameOfNonFiniteParameter() {
      throw ModelError.checkpoint(path: from.path, reason: "\(name) has a value that is no number")
    }
    if !portable { t5 = try t5.quantized(to: type) }
    let settings = try IdentifierSettings(folder: from)
    let url = from.appendingPathComponent("spiece.model")
    guard let vocabulary = try? Data(contentsOf: url) else {
      throw ModelError.missingFile(
        path: url.path, reason: "cannot be read; a model has a vocabulary")
    }
    try t5.save(
      to: to, metadata: ModelFolder.metadata(vocabulary: vocabulary), rounding: portable)
    try AtomicFile.write(vocabulary, to: to.appendingPathComponent("spiece.model"))
    try settings.save(to: to)
    Console.error("\(to.path): \(t5.parameterCount) weights in \(type)")
  }
}

extension LowPrecision: ExpressibleByArgument {}
