// Package fingerprint finds out what a device is and how it fares: processor,
// memory, disk, kernel, board, temperature, power, link, and what is plugged in.
// What it finds becomes ${attr.…} in constraints and the room the scheduler
// counts with.
//
// The one idea: reading, understanding and telling are apart. The probe only
// reads files; parsers are pure functions of the text a kernel gives, tested
// with trees of files as real boards have them; and [Damper] is a core that
// decides which of the changes are worth telling the region.
//
// Invariants: unknown is unknown: an attribute that could not be found is
// absent, never zero or invented. The one exception is the processor's speed,
// which scheduling cannot do without: where no source tells it, it comes from a
// table by architecture, and attr.cpu.frequency.assumed says so. Each fact can be
// overridden by configuration, and attr.fingerprint.overridden lists those that
// are. Every attribute stands in one table ([Facts]), which says how often it is
// probed, how it is rounded and what an override may be.
//
// Threading: functions without state; a Damper belongs to one goroutine.
package fingerprint
