// What is called differently on different systems, under one name: the part of Foundation that needs no
// tables of languages, and the C library. Elsewhere in Sources nothing imports Foundation itself: on Linux its
// tables and what reads them are 40 MB of a static binary, and of a process milliseconds and megabytes.

#if canImport(FoundationEssentials)
  @_exported import FoundationEssentials
#else
  @_exported import Foundation
#endif

#if canImport(Glibc)
  @_exported import Glibc
#elseif canImport(Musl)
  @_exported import Musl
#elseif canImport(Darwin)
  @_exported import Darwin
#endif
