import ArgumentParser
import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor

struct States: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "states",
    abstract: "Write a text's encoder states, decoder states and logits, for comparison.")

  @Option(help: "A model folder.") var model: String
  @Option(help: "A text, cut as a question.") var text: String?
  @Flag(help: "Cut the text as a document.") var document = false
  @Option(help: "Token ids instead of a text, with commas between.") var ids: String?
  @Option(help: "The safetensors file to write.") var out: String

  func validate() throws {
    if (text == nil) == (ids == nil) { throw ValidationError("give either --text or --ids") }
  }

  func run() throws {
    let url = URL(fileURLWithPath: model)
    let generator: IdentifierGenerator
    let tokens: [Int32]
    if let text {
      let folder = try ModelFolder(opening: url, warn: Console.error)
      generator = folder.generator
      tokens =
        document ? folder.tokens(of: Document(id: "", text: text)) : folder.tokens(ofQuery: text)
    } else {
      generator = try IdentifierGenerator(
        model: T5Model(folder: url, warn: Console.error),
        settings: IdentifierSettings(folder: url))
      let parts = (ids ?? "").split(separator: ",", omittingEmptySubsequences: false)
      tokens = parts.compactMap { Int32($0) }
      guard tokens.count == parts.count else { throw ValidationError("--ids has a non-number") }
    }
    let t5 = generator.model
    let batch = try TokenBatch([tokens], vocabularySize: t5.configuration.vocabularySize)
    let encoded = try t5.encode(batch)
    let states = try generator.states(of: [tokens])
    let flat = try states.reshaped(to: [states.rows, states.width])
    try SafetensorsFile.write(
      [
        ("input_ids", .integers(tokens, shape: [tokens.count])),
        ("encoder_last_hidden_state", .float(encoded)), ("decoder_states", .float(flat)),
        ("logits", .float(try t5.logits(flat))),
      ], to: URL(fileURLWithPath: out))
  }
}
