import GLENPlatform

/// Writes the numbers of training as TensorBoard reads them: scalar summaries in an event file.
///
/// The file is a row of records, each a length, the length's checksum, an `Event` message in
/// protocol-buffer encoding, and the message's checksum.
struct EventFile {
  private let file: OpenFile

  /// Begins a file.
  ///
  /// - Throws: The system's error if it cannot be written.
  init(creating url: URL, time: Double) throws {
    try Data().write(to: url)
    file = try OpenFile(appendingTo: url)
    try file.write(
      Self.record(Self.event(time: time) { $0.text(3, "brain.Event:2") }))
  }

  /// Appends all numbers of a record, each under its phase's and its own name.
  func append(_ record: MetricsRecord) throws {
    let event = Self.event(time: record.time) { message in
      message.integer(2, UInt64(max(record.step, 0)))
      var summary = Message()
      for (name, value) in record.values.sorted(by: { $0.key < $1.key }) {
        var scalar = Message()
        scalar.text(1, record.phase + "/" + name)
        scalar.float(2, Float(value))
        summary.bytes(1, scalar.data)
      }
      message.bytes(5, summary.data)
    }
    try file.write(Self.record(event))
  }

  private static func event(time: Double, _ fill: (inout Message) -> Void) -> Data {
    var event = Message()
    event.double(1, time)
    fill(&event)
    return event.data
  }

  private static func record(_ message: Data) -> Data {
    var record = Message.littleEndian(UInt64(message.count))
    record += Message.littleEndian(maskedChecksum(of: record)) + message
    return record + Message.littleEndian(maskedChecksum(of: message))
  }

  /// A checksum that is itself safe to sum over.
  private static func maskedChecksum(of data: Data) -> UInt32 {
    let checksum = CRC32C.checksum(data)
    return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
  }

  /// The four kinds of fields that a scalar summary needs.
  private struct Message {
    private(set) var data = Data()

    static func littleEndian(_ value: some FixedWidthInteger) -> Data {
      withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }

    mutating func integer(_ field: UInt8, _ value: UInt64) {
      data.append(field << 3)
      variable(value)
    }

    mutating func double(_ field: UInt8, _ value: Double) {
      data.append(field << 3 | 1)
      data += Self.littleEndian(value.bitPattern)
    }

    mutating func float(_ field: UInt8, _ value: Float) {
      data.append(field << 3 | 5)
      data += Self.littleEndian(value.bitPattern)
    }

    mutating func text(_ field: UInt8, _ value: String) { bytes(field, Data(value.utf8)) }

    mutating func bytes(_ field: UInt8, _ value: Data) {
      data.append(field << 3 | 2)
      variable(UInt64(value.count))
      data += value
    }

    /// Seven bits a byte, the lowest first.
    private mutating func variable(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        data.append(UInt8(rest & 0x7F) | 0x80)
        rest >>= 7
      }
      data.append(UInt8(rest))
    }
  }
}

/// The 32-bit cyclic redundancy check of Castagnoli's polynomial.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in
      value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
    }
  }

  /// The check value of some bytes.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(UInt32.max) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
  }
}
