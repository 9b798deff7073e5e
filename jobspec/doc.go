// Package jobspec turns job files (HCL) and API bodies (JSON) into fleet.Job,
// and says what is wrong with them by file, line and a hint.
//
// One reflection decoder over hcl's syntax tree serves every noun; the `hcl`
// tags on the structs of package fleet are the only schema:
//
//	hcl:"name"        an attribute
//	hcl:",label"      the label of the block
//	hcl:"name,block"  a nested block: a slice repeats, a pointer is at most one
//	hcl:"name,map"    text values, as x = { … } or x { … }
//	hcl:"name,json"   anything, kept as raw JSON
//
// hcl's own gohcl was not used: it has no custom decoders, so durations would
// need a second set of structs, and its messages do not know where else a name
// would be right.
//
// # Invariants
//
//   - Pure: no file, clock, environment or randomness. What a job file may read
//     is passed in through Options.
//   - The job is as written, not canonical: defaults are filled in by
//     fleet.Canonicalize alone.
//   - Hostile input costs bounded memory and stack: nesting is limited before
//     parsing, and what expressions may produce before they are evaluated.
//   - References that only a scheduler or a device can resolve (${attr.…},
//     ${NOMAD_…}) stay in the text as they are.
//
// Threading: all functions may be called at the same time; results are values.
package jobspec
