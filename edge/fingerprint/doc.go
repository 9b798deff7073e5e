// Package fingerprint finds out what a device is: processor, memory, disk,
// kernel, system, board. What it finds becomes ${attr.…} in constraints and the
// room the scheduler counts with.
//
// The one idea: reading and understanding are apart. Parsers are pure functions
// of the text a kernel gives, tested with captured files of real boards; the
// probe only reads files.
//
// Invariants: unknown is unknown: an attribute that could not be found is
// absent, never zero or invented. The one exception is the processor's speed,
// which scheduling cannot do without: where no source tells it, it comes from a
// table by architecture, and attr.cpu.frequency.assumed says so. Each number can
// be overridden by configuration.
//
// Threading: functions without state.
package fingerprint
