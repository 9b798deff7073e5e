// Package grant decides what one allocation alone holds of its node: port
// numbers, and instances of devices.
//
// The one idea: what is held is a set per node, built when somebody asks from the
// few allocations that hold anything ([Load]), and scheduler, plan check, wake-up
// and adoption ask the same set. A running set per node in the state was rejected:
// it would have to be kept right through every write, and most regions ask for it
// a few times a minute.
//
// # Invariants
//
//   - Nothing that is held is handed out, whoever holds it: allocations that should
//     run, those whose device is away, orphans, plans in flight.
//   - What [Node.Take] gives depends on the node, what is held there, the ask and the
//     seed alone.
//   - As many times as [Node.Room] says, [Node.Take] succeeds.
//
// Threading: none; values in, values out. A [Node] belongs to one goroutine.
package grant
