import CGLENSentencePiece
import GLENPlatform

/// A model between its loading and its owner: closed when an initialiser throws before taking it.
struct LoadedModel: ~Copyable {
  let pointer: OpaquePointer

  init(_ data: Data) throws(TokenizerError) {
    var loaded: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    let status = data.withUnsafeBytes {
      glen_sp_load_bytes($0.baseAddress, $0.count, &loaded, &message)
    }
    guard status == GLEN_SP_OK, let loaded else {
      throw .invalidModel(reason: takeMessage(message))
    }
    pointer = loaded
  }

  deinit {
    glen_sp_close(pointer)
  }

  /// Hands the model over to an owner who closes it.
  consuming func release() -> OpaquePointer {
    let pointer = pointer
    discard self
    return pointer
  }
}

/// The text of a C message, which is released.
func takeMessage(_ message: UnsafeMutablePointer<CChar>?) -> String {
  guard let message else { return "unknown reason" }
  defer { glen_sp_free(message) }
  let text = String(cString: message)
  // SentencePiece puts the place in its source and the failed condition before its message.
  guard text.contains(".cc("), let end = text.ranges(of: "] ").last else {
    return text
  }
  let rest = text[end.upperBound...].drop(while: \.isWhitespace)
  return rest.isEmpty ? text : String(rest)
}
