// Package road tries the whole road with real parts: the real binary, started as a user would start it, in processes of its
// own, on loopback. It holds tests only.
//
// The one idea: everything below is tested by itself somewhere; here only what can go wrong between the parts is tried, and
// what no part can promise alone: that a write which was acknowledged is still there after any process was killed at any
// moment, and that nothing runs twice or stops for it.
//
// Invariants:
//   - A test ends every process that it started, and the host and guests that its agents left behind, by process ID.
//   - Every wait has a limit and says at its end what it waited for; on failure the logs of all processes are shown.
//   - Ports are drawn by the kernel; nothing listens beyond loopback; nothing of the user's own configuration is read.
//
// TestKills takes its number of kills from DUNLIN_ROAD_KILLS, TestPowerCuts its number of cuts from DUNLIN_ROAD_CUTS; both take their
// seed from DUNLIN_ROAD_SEED.
//
// Threading: tests run side by side, each with its own region in its own folder.
package road
