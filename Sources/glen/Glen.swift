import ArgumentParser
import CGLENBLAS
import GLENCUDA
import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText
import GLENTraining

/// The command line of the library.
@main
struct Glen: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glen",
    abstract: "Generative retrieval: train, index, search and evaluate with GLEN.",
    discussion: """
      Exit codes: 0 success, 64 wrong usage or no such device, 65 bad input data, 66 missing input, 70 \
      internal error, 74 output that cannot be written (a full disk, say), 75 a folder that another run has or \
      an index that was replaced meanwhile, 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
      """,
    version: "0.1.0",
    subcommands: [
      Train.self, Ablate.self, Pretrain.self, GenerateQueries.self, Quantize.self, Index.self,
      Add.self,
      Remove.self,
      Compact.self, Search.self, Evaluate.self, Inspect.self, Verify.self, Report.self,
      States.self, Bench.self, SelfTest.self,
    ])

  static func main() {
    glen_end_openblas_threads()
    do {
      var command = try parseAsRoot()
      do {
        // Help is a command, too, and never refused.
        if configuration.subcommands.contains(where: { $0 == type(of: command) }) {
          try checkEnvironment()
        }
        try command.run()
      } catch let error where exitCode(for: error) != .failure {
        // The parser's own: wrong usage, and help, which is no error at all.
        throw error
      } catch {
        Console.error("error: \(Failure.text(of: error))")
        GLENPlatform.exit(Failure.exitCode(of: error))
      }
    } catch {
      exit(withError: error)
    }
  }
}

extension Glen {
  /// The library takes what it knows and leaves the rest; whoever misspells here should hear of it.
  fileprivate static func checkEnvironment() throws {
    let environment = ProcessInfo.processInfo.environment.filter { !$0.value.isEmpty }
    if let count = environment["GLEN_THREADS"], Int(count) ?? 0 < 1 {
      throw ValidationError("GLEN_THREADS must be a number from 1 on, not '\(count)'")
    }
    if let name = environment["GLEN_CPU_KERNELS"], InstructionSet(rawValue: name) == nil {
      let names = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("GLEN_CPU_KERNELS must be one of \(names), not '\(name)'")
    }
  }
}

/// How errors become messages and exit codes.
enum Failure {
  static func text(of error: any Error) -> String {
    if error is CancellationError {
      return
        "stopped; `--resume` goes on from the checkpoint, if there is one (of an ablation, or of generated "
        + "queries, the same command)"
    }
    switch error {
    case is TensorError, is CUDAError, is ModelError, is TokenizerError, is IndexError,
      is TrainingError:
      return "\(error)"
    default:
      let path = (error as? CocoaError)?.filePath.map { "\($0): " } ?? ""
      return path + error.reason
    }
  }

  /// The codes of sysexits.h: 65 for bad data, 66 for missing input, 70 for what is our own fault,
  /// 74 for output that cannot be written, 75 for what may be tried again later.
  static func exitCode(of error: any Error) -> Int32 {
    switch error {
    case CUDAError.missingLibrary, CUDAError.noDevice: 64
    case TrainingError.fileNotFound, TrainingError.missingSplit, ModelError.missingFile: 66
    case TensorError.file(let path, let reason)
    where reason.hasPrefix("cannot be opened") && !FileManager.default.fileExists(atPath: path):
      66
    case TokenizerError.unreadable(let path, _) where !FileManager.default.fileExists(atPath: path):
      66
    case TrainingError.unreadableFile(let path, _)
    where !FileManager.default.fileExists(atPath: path):
      66
    case IndexError.fileSystem("open file", _, let code) where code == ENOENT || code == ENOTDIR: 66
    case TrainingError.folderInUse, IndexError.replacedMeanwhile: 75
    case TrainingError.unwritableFile, TokenizerError.unwritable, IndexError.foreignFolder: 74
    case TensorError.file(_, let reason) where writingFailures.contains(where: reason.hasPrefix): 74
    case IndexError.fileSystem(let operation, _, _) where writingOperations.contains(operation): 74
    case is TrainingError, is ModelError, is IndexError, is TokenizerError: 65
    case TensorError.checkpoint, TensorError.file: 65
    case is CancellationError: Interruption.exitCode
    default: 70
    }
  }

  /// How the reasons of `AtomicFile` begin.
  private static let writingFailures = [
    "cannot be written", "cannot be replaced", "could not be ", "the folder cannot be made",
  ]
  private static let writingOperations: Set = [
    "create file", "write file", "rename file", "make folder", "lock folder", "synchronise folder",
    "confirm what was written",
  ]
}
