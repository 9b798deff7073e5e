// Package hosted is what the drivers whose tasks live in the host process share: everything after the start.
//
// The one idea: such a driver differs from another only in how it turns a task's config into a host.TaskSpec. Waiting,
// stopping, statistics and recovery are the same questions to the same host, and are asked here once.
//
// Threading: a Tasks value is safe for concurrent use if its Port is.
package hosted
