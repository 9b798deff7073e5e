// Package broker decides which evaluation is worked on next.
//
// The one idea: the broker mirrors the open evaluations of a view. [Broker.Sync]
// compares it with the newest view, so a lost event costs nothing and a new
// leader starts from the state alone; everything else (who works on what, how
// often it failed) is forgotten with the term and safe to forget.
//
// # Invariants
//
//   - At most one evaluation of a job is running; the others of the job wait.
//   - Delivery is at least once: what is neither acknowledged nor ended within the
//     timeout is delivered again, at most [Config.DeliveriesMax] times; then it is
//     ended as failed and a delayed evaluation follows it.
//   - While a plan of an evaluation is held (see [Broker.Hold]), nothing of its
//     job is delivered, however late its worker is: two plans of one job that do
//     not see each other would place twice.
//   - Of the evaluations of a job that merely wait, the newest stays: it covers the
//     older ones, which are cancelled, and inherits their age and priority. Keeping
//     the oldest was rejected because the user who registered last would see his
//     evaluation cancelled. Delayed evaluations are never cancelled: allocations
//     point to them.
//   - A blocked evaluation is delivered once capacity came at an index above its
//     snapshot that it may use, whether that was before or after it blocked.
//
// Threading: none; one goroutine owns a Broker. Times are Unix nanoseconds.
package broker
