// Package drivertest is the one conformance suite that every driver passes, with real parts.
//
// The one idea: what the driver port promises is written once, as tests; a driver's own tests are a Harness that says how to
// make an instance of it and how to make it run the suite's program. Instances made by one Harness share their state, so a
// second instance is what a restarted agent has.
//
// A driver that needs the host process calls Main from its TestMain; no binary has to be built first.
package drivertest
