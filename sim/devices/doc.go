// Package devices plays a fleet of devices against a real region, over the real protocol: they register, beat, take what the region
// wants, and say that it runs, and after a set time that it is done. `dunlin sim fleet` sizes regions with it, and the bench measures
// with it.
//
// The one idea: to a region a device is what it says on its link. So everything behind the link is left out: there is no driver, no
// module is fetched, no file is written. What is said, and how much of it, is what a real device says.
//
// # Invariants
//
//   - What a device acknowledged it reports as running, and after Options.FinishAfter as complete, once each, over any number of
//     links: a status is told until it is acknowledged.
//   - A device whose link breaks comes back as real ones do (edge/reach decides when), with what it holds.
//   - Nothing is written to disk: a fleet that is ended has forgotten what it held, and its region tells it everything again.
//
// Threading: Run owns all goroutines and waits for them. Counts may be read by any goroutine at any time.
package devices
