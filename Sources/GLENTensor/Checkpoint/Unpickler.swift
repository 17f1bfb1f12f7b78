/// Reads the few pickle instructions that a PyTorch state dictionary is made of, and runs nothing.
///
/// A pickle is a program; its `GLOBAL` may name any function of Python and its `REDUCE` call it. Here
/// three functions and the types of storages mean something, to this reader alone, and everything
/// else is refused by name. Values that hold others live in lists of the reader and are named by
/// number, so that no pickle can nest deeply or contain itself in a way that costs more than its own
/// length.
struct Unpickler {
  /// Something on the stack.
  enum Value {
    case none, mark
    case bool(Bool)
    case integer(Int)
    case text(String)
    case callable(Callable)
    case elementType(ElementType)
    case storage(Int)
    case tensor(Int)
    case sequence(Int)
    case dictionary(Int)
  }

  /// What a state dictionary calls.
  enum Callable {
    case orderedDictionary, rebuildTensor, rebuildParameter
  }

  /// Numbers under a key, to which tensors refer.
  struct StorageReference {
    var elementType: ElementType
    var key: String
    var count: Int
  }

  /// A tensor as the pickle describes it, unchecked.
  struct TensorReference {
    var storage: Int
    var offset: Int
    var shape: [Int]
    var strides: [Int]
  }

  /// What is wrong, in words that follow the file's path.
  struct Problem: Error {
    var reason: String
  }

  private(set) var storages: [StorageReference] = []
  private(set) var tensors: [TensorReference] = []
  private(set) var sequences: [[Value]] = []
  private(set) var dictionaries: [[(key: Value, value: Value)]] = []
  /// Where the next instruction is.
  private(set) var position: Int

  private let reader: ByteReader
  private let end: Int
  private var stack: [Value] = []
  private var memo: [Int: Value] = [:]

  /// A reader of the pickles in a part of some bytes.
  init(_ bytes: UnsafeRawBufferPointer, range: Range<Int>) {
    reader = ByteReader(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<range.upperBound]))
    position = range.lowerBound
    end = range.upperBound
  }

  /// Reads one pickle to its end and gives its value.
  mutating func next() throws(Problem) -> Value {
    stack = []
    memo = [:]
    while true {
      let code = try number(UInt8.self)
      if code == UInt8(ascii: ".") { return try pop() }
      try run(code)
    }
  }

  private mutating func run(_ code: UInt8) throws(Problem) {
    switch code {
    case 0x80:  // PROTO
      let version = try number(UInt8.self)
      guard version == 2 else {
        throw Problem(reason: "expected pickle protocol 2, got \(version)")
      }
    case UInt8(ascii: "c"): stack.append(try global())
    case UInt8(ascii: "("): stack.append(.mark)
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.bool(true))
    case 0x89: stack.append(.bool(false))
    case UInt8(ascii: "K"): stack.append(.integer(Int(try number(UInt8.self))))
    case UInt8(ascii: "M"): stack.append(.integer(Int(try number(UInt16.self))))
    case UInt8(ascii: "J"): stack.append(.integer(Int(try number(Int32.self))))
    case 0x8A: stack.append(.integer(try longInteger()))
    case UInt8(ascii: "X"): stack.append(.text(try text(Int(number(UInt32.self)))))
    case UInt8(ascii: ")"), UInt8(ascii: "]"): push([])
    case UInt8(ascii: "t"): push(try popToMark())
    case 0x85: push(try pop(1))
    case 0x86: push(try pop(2))
    case 0x87: push(try pop(3))
    case UInt8(ascii: "a"): try append(pop(1))
    case UInt8(ascii: "e"): try append(popToMark())
    case UInt8(ascii: "}"): pushDictionary()
    case UInt8(ascii: "s"): try setItems(pop(2))
    case UInt8(ascii: "u"): try setItems(popToMark())
    case UInt8(ascii: "q"): memo[Int(try number(UInt8.self))] = try top()
    case UInt8(ascii: "r"): memo[Int(try number(UInt32.self))] = try top()
    case UInt8(ascii: "h"): stack.append(try remembered(Int(number(UInt8.self))))
    case UInt8(ascii: "j"): stack.append(try remembered(Int(number(UInt32.self))))
    case UInt8(ascii: "Q"): try takeStorage()
    case UInt8(ascii: "R"): try call()
    case UInt8(ascii: "b"):
      // A state dictionary's `_metadata`, the only state there is: nothing of it matters.
      _ = try pop()
      guard case .dictionary = try top() else {
        throw Problem(reason: "the pickle sets the state of what is no dictionary")
      }
    default:
      throw Problem(
        reason: "the pickle has the instruction 0x\(String(code, radix: 16)) at byte "
          + "\(position - 1), which no state dictionary needs; nothing of it was run")
    }
  }
}

// MARK: - Instructions

extension Unpickler {
  private mutating func global() throws(Problem) -> Value {
    let module = try line()
    let name = try line()
    switch (module, name) {
    case ("collections", "OrderedDict"): return .callable(.orderedDictionary)
    case ("torch._utils", "_rebuild_tensor_v2"): return .callable(.rebuildTensor)
    case ("torch._utils", "_rebuild_parameter"): return .callable(.rebuildParameter)
    case ("torch", _):
      if let type = Self.storageTypes[name] { return .elementType(type) }
    default: break
    }
    throw Problem(
      reason: "the pickle names \(module).\(name), which no state dictionary needs; nothing of it "
        + "was run; save the model's state_dict() alone")
  }

  private static let storageTypes: [String: ElementType] = [
    "DoubleStorage": .float64, "FloatStorage": .float32, "HalfStorage": .float16,
    "BFloat16Storage": .bfloat16, "LongStorage": .int64, "IntStorage": .int32,
    "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8, "BoolStorage": .bool,
  ]

  /// `BINPERSID`: ('storage', type, key, place, count), and in old files a view that must be none.
  private mutating func takeStorage() throws(Problem) {
    guard case .sequence(let index) = try pop(), (5...6).contains(sequences[index].count),
      case .text("storage") = sequences[index][0],
      case .elementType(let type) = sequences[index][1], case .text(let key) = sequences[index][2],
      case .integer(let count) = sequences[index][4], count >= 0
    else { throw Problem(reason: "the pickle refers to something that is no storage") }
    if sequences[index].count == 6 {
      guard case .none = sequences[index][5] else {
        throw Problem(reason: "the storage \(key) is a view of another; save the model again")
      }
    }
    storages.append(StorageReference(elementType: type, key: key, count: count))
    stack.append(.storage(storages.count - 1))
  }

  private mutating func call() throws(Problem) {
    guard case .sequence(let index) = try pop(), case .callable(let callable) = try pop() else {
      throw Problem(reason: "the pickle calls what is no function")
    }
    let arguments = sequences[index]
    switch callable {
    case .orderedDictionary:
      guard arguments.isEmpty else {
        throw Problem(reason: "the pickle makes a dictionary of arguments")
      }
      pushDictionary()
    case .rebuildParameter:
      guard arguments.count == 3, case .tensor = arguments[0] else {
        throw Problem(reason: "the pickle makes a parameter of what is no tensor")
      }
      stack.append(arguments[0])
    case .rebuildTensor:
      guard (6...7).contains(arguments.count), case .storage(let storage) = arguments[0],
        case .integer(let offset) = arguments[1], let shape = integers(arguments[2]),
        let strides = integers(arguments[3]), shape.count == strides.count
      else { throw Problem(reason: "the pickle makes a tensor of what is no storage or shape") }
      tensors.append(
        TensorReference(storage: storage, offset: offset, shape: shape, strides: strides))
      stack.append(.tensor(tensors.count - 1))
    }
  }

  private func integers(_ value: Value) -> [Int]? {
    guard case .sequence(let index) = value, sequences[index].count <= 16 else { return nil }
    let integers = sequences[index].compactMap { element -> Int? in
      if case .integer(let integer) = element { integer } else { nil }
    }
    return integers.count == sequences[index].count ? integers : nil
  }

  private mutating func setItems(_ items: [Value]) throws(Problem) {
    guard case .dictionary(let index) = try top(), items.count % 2 == 0 else {
      throw Problem(reason: "the pickle sets items of what is no dictionary")
    }
    for pair in stride(from: 0, to: items.count, by: 2) {
      dictionaries[index].append((items[pair], items[pair + 1]))
    }
  }

  private mutating func append(_ items: [Value]) throws(Problem) {
    guard case .sequence(let index) = try top() else {
      throw Problem(reason: "the pickle appends to what is no list")
    }
    sequences[index] += items
  }

  private mutating func push(_ sequence: [Value]) {
    sequences.append(sequence)
    stack.append(.sequence(sequences.count - 1))
  }

  private mutating func pushDictionary() {
    dictionaries.append([])
    stack.append(.dictionary(dictionaries.count - 1))
  }
}

// MARK: - Stack and bytes

extension Unpickler {
  private func cutShort() -> Problem { Problem(reason: "the pickle is cut short or damaged") }

  private func top() throws(Problem) -> Value {
    guard let value = stack.last else { throw cutShort() }
    if case .mark = value { throw cutShort() }
    return value
  }

  private mutating func pop() throws(Problem) -> Value {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws(Problem) -> [Value] {
    var values: [Value] = []
    for _ in 0..<count { values.append(try pop()) }
    return values.reversed()
  }

  private mutating func popToMark() throws(Problem) -> [Value] {
    let mark = stack.lastIndex { if case .mark = $0 { true } else { false } }
    guard let mark else { throw cutShort() }
    let values = Array(stack[(mark + 1)...])
    stack.removeSubrange(mark...)
    return values
  }

  private func remembered(_ index: Int) throws(Problem) -> Value {
    guard let value = memo[index] else { throw cutShort() }
    return value
  }

  private mutating func number<Number: FixedWidthInteger>(
    _ type: Number.Type
  ) throws(Problem) -> Number {
    guard let number = reader.number(type, at: position) else { throw cutShort() }
    position += MemoryLayout<Number>.size
    return number
  }

  /// `LONG1`: a length, and that many bytes of a signed number, at most eight here.
  private mutating func longInteger() throws(Problem) -> Int {
    let count = Int(try number(UInt8.self))
    guard count <= 8 else { throw Problem(reason: "the pickle has a number beyond 64 bits") }
    var bits: UInt64 = 0
    for index in 0..<count { bits |= UInt64(try number(UInt8.self)) << UInt64(8 * index) }
    let shift = UInt64(64 - 8 * max(count, 1))
    return Int(Int64(bitPattern: bits << shift) >> Int64(shift))
  }

  private mutating func text(_ count: Int) throws(Problem) -> String {
    guard let text = reader.text(at: position, count: count) else { throw cutShort() }
    position += count
    return text
  }

  /// The text to the end of the line, for which no name of ours needs more than 256 bytes.
  private mutating func line() throws(Problem) -> String {
    let part = reader.bytes[position..<min(position + 256, end)]
    guard let newline = part.firstIndex(of: 0x0A) else { throw cutShort() }
    let line = try text(newline - position)
    position += 1
    return line
  }
}
