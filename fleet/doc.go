// Package fleet holds Dunlin's nouns: jobs, groups, tasks, nodes, allocations,
// evaluations, and the values they are made of.
//
// Everything here is a plain value. Nothing starts a goroutine, reads a clock
// or opens a file, and only the standard library is imported, so any package
// may speak in these words without inheriting anything else.
//
// # Invariants
//
//   - The JSON form of a noun is at once the HTTP API's JSON (the field names
//     of the Nomad v1 HTTP API) and what replicated commands and checkpoints
//     carry. There is no second form.
//   - A field whose default is not zero is a pointer, and [Canonicalize] is the
//     only place that fills it. It is idempotent; two jobs have equal
//     [CanonicalBytes] exactly when registering the second makes no new
//     version.
//   - A field that is accepted but not carried out is raw JSON under its public
//     name and has a row in the table of uncarried.go, which says whether it is
//     refused or warned about. Nothing is dropped in silence.
//   - Struct tags are the only description of a field: `json` names it for the
//     API, `hcl` for the job file, `change` says what an update of it does to
//     running allocations ("inplace", "restart" or "none").
//
// Threading: values are not synchronised. A value handed to another package is
// immutable from then on; whoever wants to change it copies it first.
package fleet
