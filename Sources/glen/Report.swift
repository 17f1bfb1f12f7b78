import ArgumentParser
import GLENPlatform
import GLENTensor
import GLENTraining

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Show a training run's curves, tables and recipe on one HTML page.",
    discussion: "A run in progress can be shown too. The page needs no other file and no network.")

  @Argument(help: "The folder that `glen train --out` writes.") var folder: String
  @Option(help: "The page; without it report.html in the run's folder.") var out: String?

  func run() throws {
    let folder = URL(fileURLWithPath: folder)
    let page = out.map { URL(fileURLWithPath: $0) } ?? folder.appendingPathComponent("report.html")
    try AtomicFile.write(Data(RunReport(folder: folder).html().utf8), to: page)
    Console.error("the report is in \(page.path)")
  }
}
