// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that who uses GLEN does not get what measures it. It needs Swift 6.3: the
// versions of `benchmark` for earlier ones want another swift-argument-parser than GLEN does.

/// Benchmarks of one module; the plugin looks for executables in a folder below `Benchmarks`.
func benchmarks(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name,
    dependencies: dependencies + ["Support", .product(name: "Benchmark", package: "benchmark")],
    path: name, plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
}

func glen(_ name: String) -> Target.Dependency { .product(name: name, package: "GLEN") }

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "GLEN", path: ".."),
    // Without what counts allocations and retains, two more packages of C.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .target(
      name: "Support",
      dependencies: [glen("GLENTensor"), .product(name: "Benchmark", package: "benchmark")],
      path: "Support"),
    // Made-up identifiers and queries, which `search` is a program of its own for.
    .target(
      name: "Shapes", dependencies: [glen("GLENIndex")], path: "search",
      exclude: ["SearchBenchmark.swift", "peers.py", "plain_scan.c", "requirements.txt", "run"],
      sources: ["Shape.swift"]),
    benchmarks("OperationBenchmarks", [glen("GLENTensor")]),
    benchmarks("ModelBenchmarks", [glen("GLENModel"), glen("GLENTensor")]),
    benchmarks("SearchBenchmarks", [glen("GLENIndex"), "Shapes"]),
    benchmarks(
      "TrainingBenchmarks", [glen("GLENModel"), glen("GLENTensor"), glen("GLENTraining")]),
  ]
)
