import CGLENStarter
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText
import GLENTraining

extension Starter {
  /// The starter model that comes with the package, a part of the program: no file, no download.
  ///
  /// Its card, `Sources/CGLENStarter/Model/README.md`, says what it was trained on and how good it is.
  ///
  /// The weights are under CC BY-SA 4.0: who passes on a program with them names their sources, as the
  /// card does.
  ///
  /// - Throws: `ModelError.missingFile` in a program whose C compiler did not know `#embed`.
  public static func bundled() throws -> Starter {
    func bytes(_ file: glen_starter_file, _ name: String) throws -> UnsafeRawBufferPointer {
      guard let bytes = file.bytes else {
        throw ModelError.missingFile(
          path: name,
          reason: "is not in this program: its C compiler has no #embed; begin from another model")
      }
      return UnsafeRawBufferPointer(start: bytes, count: file.length)
    }
    let configuration = try JSONDecoder().decode(
      T5Configuration.self, from: Data(bytes(glen_starter_configuration(), "config.json")))
    let weights = try SafetensorsFile(
      permanentBytes: bytes(glen_starter_weights(), "model.safetensors"),
      name: "the starter's model.safetensors")
    return try Starter(
      model: T5Model(
        configuration, weights: [weights], of: URL(fileURLWithPath: "starter"),
        on: CPUBackend.shared, warn: { _ in }),
      tokenizer: SentencePieceTokenizer(
        model: Data(bytes(glen_starter_vocabulary(), "spiece.model")), sentinelCount: 0))
  }
}
