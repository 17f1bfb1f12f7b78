import Foundation
import Testing

@testable import GLENTensor

@Suite("Safetensors")
struct SafetensorsTests {
  private let folder = Result { try TemporaryFolder() }

  /// A file of a header and data, without regard to whether they fit.
  private func bytes(_ header: String, data: [UInt8]) -> [UInt8] {
    let text = Array(header.utf8)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text + data
  }

  private func open(_ bytes: [UInt8]) throws -> SafetensorsFile {
    try SafetensorsFile(contentsOf: folder.get().write(bytes))
  }

  /// What is wrong with a file, without its path.
  private func complaint(_ bytes: [UInt8]) throws -> String {
    let url = try folder.get().write(bytes)
    do {
      let file = try SafetensorsFile(contentsOf: url)
      for name in file.names { _ = try file.tensor(name) }
      return "nothing is wrong"
    } catch TensorError.checkpoint(let path, let reason) {
      #expect(path == url.path)
      return reason
    }
  }

  @Test func whatIsWrittenIsRead() throws {
    let url = try folder.get().file("model.safetensors")
    let weight = try Tensor([1, -2.5, .infinity, 4, 5, 6], shape: [2, 3])
    let names = ["b", "a", "ü \"quoted\" \\ /name", "empty", "scalar"]
    try SafetensorsFile.write(
      [
        (names[0], .float(weight)), (names[1], .integers([1, -7, .max], shape: [3, 1])),
        (names[2], .float(try Tensor([7], shape: [1]))),
        (names[3], .float(try Tensor([], shape: [0, 4]))),
        (names[4], .float(try Tensor([3], shape: []))),
      ], metadata: ["format": "pt", "note": "a \"b\": {c}"], to: url)
    let file = try SafetensorsFile(contentsOf: url)
    #expect(file.names == names.sorted())
    #expect(file.metadata == ["format": "pt", "note": "a \"b\": {c}"])
    #expect(file.shape(of: "b") == [2, 3])
    #expect(file.shape(of: "c") == nil)
    #expect(try file.tensor("b").values() == [1, -2.5, .infinity, 4, 5, 6])
    #expect(try file.integers("a").values == [1, -7, .max])
    #expect(try file.integers("a").shape == [3, 1])
    #expect(try file.tensor(names[2]).values() == [7])
    #expect(try file.tensor("empty").shape == [0, 4])
    #expect(try file.tensor("scalar").scalar() == 3)
    // The data begin at a multiple of eight.
    let header = try Data(contentsOf: url).prefix(8).reduce(into: (0, 0)) {
      $0 = ($0.0 | Int($1) << ($0.1 * 8), $0.1 + 1)
    }
    #expect(header.0 % 8 == 0)
    #expect(try folder.get().names == ["model.safetensors"])
  }

  @Test func theSameTensorsGiveTheSameBytes() throws {
    let tensor = try Tensor([1, 2], shape: [2])
    let files = try ["x", "y"].map { name in
      let url = try folder.get().file(name)
      try SafetensorsFile.write(
        [(name: "w", tensor: tensor)], metadata: ["a": "1", "b": "2", "c": "3"], to: url)
      return try Data(contentsOf: url)
    }
    #expect(files[0] == files[1])
  }

  @Test func floatsOfSixteenBitsAreWidened() throws {
    let bf16: [UInt16] = [0x3F80, 0xC040, 0x7F80, 0x0000, 0x8000, 0x0001]
    let f16: [UInt16] = [0x3C00, 0xC200, 0x7C00, 0x0001, 0x03FF, 0x8001, 0x7BFF, 0x8000, 0x7E00]
    let data = (bf16 + f16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    let file = try open(
      bytes(
        "{\"b\":{\"dtype\":\"BF16\",\"shape\":[6],\"data_offsets\":[0,12]},"
          + "\"h\":{\"dtype\":\"F16\",\"shape\":[3,3],\"data_offsets\":[12,30]}}", data: data))
    let wide = try file.tensor("b").values()
    #expect(wide == [1, -3, .infinity, 0, 0, 0x1p-133])
    #expect(wide[4].sign == .minus)
    let half = try file.tensor("h").values()
    #expect(
      Array(half[0..<8]) == [1, -3, .infinity, 0x1p-24, 0x3FFp-24, -0x1p-24, 65504, 0])
    #expect(half[7].sign == .minus && half[8].isNaN)
  }

  @Test func roundedFloatsAreTheNearest() throws {
    let values: [Float] = [
      1, -3, 0x1.01p0, 0x1.03p0, 0x1.010002p0, -0x1.03p0, 0x1.FFp127, .infinity, -0.0, 0x1p-133,
    ]
    let url = try folder.get().file("rounded")
    let tensor = try Tensor(values, shape: [5, 2])
    try SafetensorsFile.write([("w", .rounded(tensor))], to: url)
    let file = try SafetensorsFile(contentsOf: url)
    #expect(file.shape(of: "w") == [5, 2])
    let rounded = try file.tensor("w").values()
    // Ties go to the even neighbour; what is beyond the greatest becomes infinite.
    #expect(
      rounded == [
        1, -3, 1, 0x1.04p0, 0x1.02p0, -0x1.04p0, .infinity, .infinity, -0.0, 0x1p-133,
      ])
    #expect(rounded[8].sign == .minus)
  }

  @Test func wholeNumbersOfSixtyFourBits() throws {
    let numbers: [Int64] = [1, -2, Int64(Int32.max), Int64(Int32.min)]
    let data = numbers.flatMap { number in
      withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }
    let header = "{\"i\":{\"dtype\":\"I64\",\"shape\":[4],\"data_offsets\":[0,32]}}"
    #expect(try open(bytes(header, data: data)).integers("i").values == [1, -2, .max, .min])
    var large = data
    large[20] = 1
    let file = try open(bytes(header, data: large))
    #expect(throws: TensorError.self) { try file.integers("i") }
    #expect(throws: TensorError.self) { try file.tensor("i") }
  }

  /// Data that do not begin at a multiple of four.
  @Test func dataMayLieAnywhere() throws {
    let data: [UInt8] = [0xAA] + [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
    let header =
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
      + "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}"
    for padding in 0..<4 {
      let file = try open(
        bytes(header + String(repeating: " ", count: padding), data: data))
      #expect(try file.tensor("w").values() == [1, 2])
      #expect(try file.tensor("w", on: CPUBackend(threadCount: 1)).values() == [1, 2])
    }
  }

  /// A mapped tensor is a value like any other: whoever writes to it gets a copy.
  @Test func writingToAMappedTensorChangesNoOther() throws {
    let url = try folder.get().file("w")
    try SafetensorsFile.write([(name: "w", tensor: try Tensor([1, 2], shape: [2]))], to: url)
    let file = try SafetensorsFile(contentsOf: url)
    var first = try file.tensor("w")
    let second = try file.tensor("w")
    try first.makeUnique()
    first.backend.fill(first.region, with: 9, count: 2)
    #expect(try second.values() == [1, 2])
    #expect(try file.tensor("w").values() == [1, 2])
    #expect(try SafetensorsFile(contentsOf: url).tensor("w").values() == [1, 2])
  }

  @Test func aMappedTensorOutlivesItsFile() throws {
    let url = try folder.get().file("w")
    try SafetensorsFile.write([(name: "w", tensor: try Tensor([1, 2], shape: [2]))], to: url)
    let tensor = try SafetensorsFile(contentsOf: url).tensor("w")
    try FileManager.default.removeItem(at: url)
    #expect(try tensor.values() == [1, 2])
  }

  private static let entry = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"

  private static func entry(
    dtype: String = "\"F32\"", shape: String = "[1]", offsets: String = "[0,4]"
  ) -> String {
    "{\"w\":{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
  }

  static let lies: [(header: String, complaint: String)] = {
    let notJSON = "the header is not the JSON of a safetensors file"
    let outside = { (range: String) in
      "w: its data at \(range) lies outside the file's 8 data bytes; the file is cut short"
    }
    return [
      (entry(shape: "[2]"), "w: F32 [2] needs 8 bytes, has 4"),
      (entry(shape: "[]", offsets: "[0,8]"), "w: F32 [] needs 4 bytes, has 8"),
      (entry(dtype: "\"F64\""), "w: F64 [1] needs 8 bytes, has 4"),
      (
        entry(dtype: "\"I32\"", shape: "[2]", offsets: "[0,8]"),
        "w: expected F32, F16 or BF16, got I32"
      ),
      (entry(dtype: "\"F8\""), "w: unknown element type F8"),
      (entry(offsets: "[0,12]"), outside("0..12")),
      (entry(offsets: "[-4,0]"), outside("-4..0")),
      (entry(offsets: "[8,4]"), outside("8..4")),
      (
        entry(offsets: "[9223372036854775804,9223372036854775807]"),
        outside("9223372036854775804..9223372036854775807")
      ),
      (
        entry(offsets: "[-9223372036854775808,9223372036854775807]"),
        outside("-9223372036854775808..9223372036854775807")
      ),
      (entry(offsets: "[0]"), "w: needs two data offsets"),
      (entry(offsets: "[0,2,4]"), "w: needs two data offsets"),
      (entry(shape: "[-1]"), "w: the shape [-1] is impossible"),
      (entry(shape: "[-1,-1]"), "w: the shape [-1, -1] is impossible"),
      (
        entry(shape: "[4294967296,4294967296]"),
        "w: the shape [4294967296, 4294967296] is impossible"
      ),
      (
        entry(shape: "[9223372036854775807,2,0]", offsets: "[0,0]"),
        "w: the shape [9223372036854775807, 2, 0] is impossible"
      ),
      (
        entry(shape: "[0,9223372036854775807,2]"),
        "w: the shape [0, 9223372036854775807, 2] is impossible"
      ),
      (entry(shape: "[99999999999999999999]"), notJSON),
      (entry(shape: "[1.5]"), notJSON),
      (entry(dtype: "1"), notJSON),
      (entry(shape: "\"1\"", offsets: "\"0\""), "w: needs a dtype, a shape and data offsets"),
      ("{\"w\":{\"dtype\":\"F32\"}}", "w: needs a dtype, a shape and data offsets"),
      ("{\"__metadata__\":\(entry)}", "__metadata__: expected strings, got a tensor"),
      ("{\"__metadata__\":{\"a\":1}}", notJSON),
      ("{\"w\":\(entry),\"w\":\(entry)}", "the header names a tensor twice"),
      ("{\"w\":\(entry),\"\\u0077\":\(entry)}", "the header names a tensor twice"),
      ("{\"v\":\(entry),\"w\":\(entry)}", "overlaps"),
      ("{\"__metadata__\":{},\"__metadata__\":{}}", "the header names a tensor twice"),
      ("", notJSON), ("[]", notJSON), ("null", notJSON), ("{", notJSON), ("{}x", notJSON),
      ("not JSON at all", notJSON), ("{\"w\":null}", notJSON),
      (String(repeating: "[", count: 100_000), notJSON),
      (String(repeating: "{\"a\":", count: 100_000), notJSON),
    ]
  }()

  @Test(arguments: lies)
  func everyLieIsFoundOut(header: String, complaint: String) throws {
    let found = try self.complaint(bytes(header, data: [UInt8](repeating: 0, count: 8)))
    #expect(complaint == "overlaps" ? found.contains(complaint) : found == complaint)
  }

  /// Every byte belongs to one tensor, as Hugging Face's reader (0.8.0) has it: the same verdicts.
  @Test(arguments: [
    ([("a", 0, 4), ("b", 4, 8)], 8, ""), ([("b", 4, 8), ("a", 0, 4)], 8, ""),
    ([("a", 0, 4), ("b", 0, 0), ("c", 4, 4)], 4, ""), ([], 0, ""),
    ([("a", 4, 8)], 8, "a: its data begins at 4; expected 0, where the tensor before it ends"),
    (
      [("a", 0, 4), ("b", 8, 12)], 12,
      "b: its data begins at 8; expected 4, where the tensor before it ends"
    ),
    (
      [("a", 0, 4), ("b", 8, 8)], 8,
      "b: its data begins at 8; expected 4, where the tensor before it ends"
    ),
    ([("a", 0, 4)], 5, "its tensors end at 4 of 5 data bytes; expected nothing behind them"),
    ([], 4, "its tensors end at 0 of 4 data bytes; expected nothing behind them"),
    ([("a", 0, 8), ("b", 4, 12)], 12, "b: its data overlaps another tensor's"),
    ([("a", 0, 8), ("b", 4, 4)], 8, "b: its data overlaps another tensor's"),
  ])
  func noByteIsLeftOver(
    tensors: [(name: String, first: Int, last: Int)], size: Int, complaint: String
  ) throws {
    let entries = tensors.map { name, first, last in
      "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[\((last - first) / 4)],"
        + "\"data_offsets\":[\(first),\(last)]}"
    }
    let file = bytes(
      "{" + entries.joined(separator: ",") + "}", data: [UInt8](repeating: 0, count: size))
    #expect(try self.complaint(file) == (complaint.isEmpty ? "nothing is wrong" : complaint))
  }

  @Test func headerBytesThatAreNoText() throws {
    let found = try complaint([3, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFE, 0x00])
    #expect(found == "the header is not the JSON of a safetensors file")
  }

  @Test func aFileWithoutTensorsIsOne() throws {
    #expect(try open(bytes("{}", data: [])).names == [])
  }

  @Test(arguments: [9, 100_000_001, Int.max, -1])
  func headersLongerThanTheFile(length: Int) throws {
    let claimed = UInt64(bitPattern: Int64(length))
    let file = withUnsafeBytes(of: claimed.littleEndian) { Array($0) } + Array("{}".utf8)
    #expect(
      try complaint(file)
        == "claims a header of \(claimed) bytes in a file of 10; it is cut short or not a "
        + "safetensors file")
  }

  @Test func aFileThatIsCutShortAnywhere() throws {
    let url = try folder.get().file("whole")
    try SafetensorsFile.write(
      [("w", .float(try Tensor([1, 2], shape: [2]))), ("i", .integers([1], shape: [1]))], to: url)
    let whole = try Array(Data(contentsOf: url))
    #expect(try open(whole).names == ["i", "w"])
    for length in 0..<whole.count {
      #expect(throws: TensorError.self, "\(length) bytes") { try open(Array(whole[..<length])) }
    }
    #expect(try complaint([]) == "is 0 bytes long; a safetensors file has 8 at least")
  }

  @Test func whatIsNoFile() throws {
    let folder = try folder.get()
    let missing = folder.file("missing")
    #expect(
      throws: TensorError.file(
        path: missing.path, reason: "cannot be opened: No such file or directory")
    ) { try SafetensorsFile(contentsOf: missing) }
    #expect(
      throws: TensorError.file(path: folder.url.path, reason: "is not a regular file")
    ) { try SafetensorsFile(contentsOf: folder.url) }
    let pipe = folder.file("pipe")
    #expect(mkfifo(pipe.path, 0o600) == 0)
    #expect(throws: TensorError.file(path: pipe.path, reason: "is not a regular file")) {
      try SafetensorsFile(contentsOf: pipe)
    }
    let file = try open(bytes("{}", data: []))
    #expect(throws: TensorError.self) { try file.tensor("w") }
    #expect(throws: TensorError.self) { try file.integers("w") }
  }

  @Test func whatCannotBeWritten() throws {
    let url = try folder.get().file("model.safetensors")
    let one = try Tensor([1], shape: [1])
    func text(_ contents: [(name: String, content: SafetensorsFile.Content)]) -> String {
      do {
        try SafetensorsFile.write(contents, to: url)
        return "it was written"
      } catch {
        return "\(error)"
      }
    }
    #expect(
      text([("w", .float(one)), ("w", .float(one))])
        == "SafetensorsFile.write: the name w is taken")
    #expect(
      text([("__metadata__", .float(one))])
        == "SafetensorsFile.write: the name __metadata__ is taken")
    #expect(
      text([("i", .integers([1, 2], shape: [3]))])
        == "SafetensorsFile.write: the shapes do not fit; expected as many numbers as [3] has, got 2"
    )
    #expect(try folder.get().names == [])
  }

  private func plain(_ header: [UInt8]) -> SafetensorsHeader? {
    header.withUnsafeBytes { SafetensorsHeader(plain: $0) }
  }

  /// What the direct reader takes, it takes as the decoder does; the rest it leaves.
  @Test func headersAreReadAsADecoderReadsThem() throws {
    let tensor = "{\"dtype\":\"F32\",\"shape\":[2,30],\"data_offsets\":[0,240]}"
    let text =
      "{\"__metadata__\":{\"format\":\"pt\",\"é\":\"\"} , \"a.b\":\(tensor),"
      + "\"c\":{\"data_offsets\":[240, 240], \"shape\":[],\"dtype\":\"I64\"}}   "
    let whole = Array(text.utf8)
    let read = try #require(plain(whole))
    #expect(read == (try SafetensorsHeader(decoding: Data(whole), path: "")))
    #expect(read.tensors["a.b"]?.shape == [2, 30] && read.metadata == ["format": "pt", "é": ""])
    #expect(plain(Array("{}".utf8)) == (try SafetensorsHeader(decoding: Data("{}".utf8), path: "")))
    for other in [
      "", "[]", "{", "{}}", "{\"a\":\(tensor),}", "{\"a\":\(tensor),\"a\":\(tensor)}",
      "{\"\\u0061\":\(tensor)}", "{\"__metadata__\":{},\"__metadata__\":{}}",
      "{\"__metadata__\":{\"x\":1}}", "{\"a\":{\"x\":\"y\"}}",
      tensor.replacingOccurrences(of: "30", with: "030"), "{\"a\":{}}",
      "{\"a\":\(tensor.replacingOccurrences(of: "30", with: "03"))}",
      "{\"a\":\(tensor.replacingOccurrences(of: "30", with: "3.0"))}",
      "{\"a\":\(tensor.replacingOccurrences(of: "30", with: "-3"))}",
      "{\"a\":\(tensor.replacingOccurrences(of: "30", with: "1234567890123456789"))}",
      "{\"a\":\(tensor.replacingOccurrences(of: "{", with: "{\"more\":1,"))}",
    ] {
      #expect(plain(Array(other.utf8)) == nil, "\(other)")
    }
    var generator = SeededGenerator(RandomKey(seed: 77))
    let characters = Array("0123456789-,:[]{}\" ex\\".utf8)
    var taken = 0
    for _ in 0..<20_000 {
      var mutated = whole
      let place = Int.random(in: 0..<mutated.count, using: &generator)
      let character = characters[Int.random(in: 0..<characters.count, using: &generator)]
      switch Int.random(in: 0..<3, using: &generator) {
      case 0: mutated[place] = character
      case 1: mutated.insert(character, at: place)
      default: mutated.remove(at: place)
      }
      guard let read = plain(mutated) else { continue }
      taken += 1
      let decoded = try? SafetensorsHeader(decoding: Data(mutated), path: "")
      #expect(read == decoded, "\(String(decoding: mutated, as: UTF8.self))")
    }
    #expect(taken > 2000, "\(taken)")
  }

  /// Flipped, inserted, deleted and doubled bytes: whatever comes of it, no trap.
  @Test func mutationsNeverTrap() throws {
    let folder = try folder.get()
    let url = folder.file("whole")
    try SafetensorsFile.write(
      [
        ("w", .float(try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]))),
        ("i", .integers([1, 2], shape: [2])), ("e", .float(try Tensor([], shape: [0]))),
      ], metadata: ["a": "b"], to: url)
    let whole = try Array(Data(contentsOf: url))
    let half = bytes(
      "{\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
        + "\"l\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[4,12]}}",
      data: [UInt8](repeating: 1, count: 12))
    var generator = SeededGenerator(RandomKey(seed: 2024))
    let digits = Array("0123456789-,:[]{}\"eE.".utf8)
    var opened = 0
    for round in 0..<3000 {
      var mutated = round % 2 == 0 ? whole : half
      for _ in 0..<Int.random(in: 1...2, using: &generator) where !mutated.isEmpty {
        let place = Int.random(in: 0..<mutated.count, using: &generator)
        // Mostly in place: another length leaves bytes over, which is found out at once.
        switch Int.random(in: 0..<18, using: &generator) {
        case 0..<6: mutated[place] = UInt8.random(in: 0...255, using: &generator)
        case 6..<12: mutated[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
        case 12: mutated.remove(at: place)
        case 13: mutated.insert(digits[place % digits.count], at: place)
        case 14..<17: mutated[place] = digits[Int.random(in: 0..<digits.count, using: &generator)]
        default:
          let end = min(place + 20, mutated.count)
          mutated.insert(contentsOf: mutated[place..<end], at: place)
        }
      }
      let file = try folder.write(mutated, to: "mutated")
      guard let file = try? SafetensorsFile(contentsOf: file) else { continue }
      opened += 1
      for name in file.names {
        if let tensor = try? file.tensor(name) {
          #expect(try tensor.values().count == tensor.shape.reduce(1, *))
        }
        _ = try? file.integers(name)
      }
    }
    #expect(opened > 100 && opened < 2900, "\(opened)")
  }
}
