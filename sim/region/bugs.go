package region

import "github.com/dunlin-edge/dunlin/edge/device"

// Bug is a planted fault. Each lives in this package's shells, or behind the
// device's own hook, and must be found by an oracle.
type Bug string

// The planted bugs.
const (
	BugNone             Bug = ""
	BugSkipPlanCheck    Bug = "commit plans without the check"
	BugStatusDropped    Bug = "acknowledge a status and forget it"
	BugApplyTwice       Bug = "apply an entry twice"
	BugAckUnsynced      Bug = "acknowledge before the log is synced"
	BugWrongBase        Bug = "push the difference from a wrong generation"
	BugForgetOpenEvals  Bug = "start a term without the open evaluations"
	BugStopOrphans      Bug = "take what a full state does not name for stopped"
	BugHandleLost       Bug = "lose the drivers' tokens on the way to disk"
	BugNeverLost        Bug = "never mark a node lost"
	BugBlockedForever   Bug = "never wake blocked evaluations"
	BugStalePlan        Bug = "accept plans of deliveries that were taken back"
	BugAckBeforePersist Bug = "acknowledge a desired state that is not on disk"
	BugBrakeIgnored     Bug = "replace whatever is gone, however much it is"
	BugStopBoth         Bug = "stop both of an allocation that is back and its replacement"
	BugTwiceOnNode      Bug = "place a job for every node twice on one"
	BugNodeLeftOut      Bug = "leave a node out of a job for every node"
	BugStopOnLost       Bug = "stop what a job for every node has on a lost node"
	BugStepForgotten    Bug = "never take the next step of an update"
	BugStepTooLarge     Bug = "replace more at a time than an update says"
	BugHealthIgnored    Bug = "take the next step of an update as soon as the last one runs"
	BugCanariesIgnored  Bug = "replace what runs before its canaries are promoted"
	BugCanaryTooMany    Bug = "place more canaries than are wanted"
	BugPauseIgnored     Bug = "go on with a deployment that is paused or failed"
	BugDrainAtOnce      Bug = "mark all of a draining node at once"
	BugDrainForgotten   Bug = "never mark anything on a draining node"
	BugShareForgotten   Bug = "place as if nothing of the job ran already"
	BugEvictRefused     Bug = "evict for placements that were refused"
	BugEvictForgotten   Bug = "forget the evaluations of what was evicted"
	BugStartCrowded     Bug = "start what was given the room of others while they run"
	BugGrantsUnchecked  Bug = "commit what plans hold of nodes without the check"
	BugGrantsForgotten  Bug = "take what plans in flight hold of nodes for free"
	BugDevicesUnchecked Bug = "commit what plans give of devices without the check"
	BugForgetEpoch      Bug = "tell devices from beyond a restore the difference, and raise no epoch"
)

// bugs lists all of them, for the test that each is found.
var bugs = []Bug{
	BugSkipPlanCheck, BugStatusDropped, BugApplyTwice, BugAckUnsynced, BugWrongBase, BugForgetOpenEvals, BugStopOrphans,
	BugHandleLost, BugNeverLost, BugBlockedForever, BugStalePlan, BugAckBeforePersist,
	BugForgetEpoch, BugBrakeIgnored, BugStopBoth, BugTwiceOnNode, BugNodeLeftOut, BugStopOnLost,
	BugStepForgotten, BugStepTooLarge, BugHealthIgnored,
	BugCanariesIgnored, BugCanaryTooMany, BugPauseIgnored, BugDrainAtOnce, BugDrainForgotten, BugShareForgotten,
	BugEvictRefused, BugEvictForgotten, BugStartCrowded,
	BugGrantsUnchecked, BugGrantsForgotten, BugDevicesUnchecked,
}

// planted is the part that the device's own hook carries.
func (b Bug) planted() device.Planted {
	return device.Planted{StopOrphans: b == BugStopOrphans, AckBeforePersist: b == BugAckBeforePersist, StartCrowded: b == BugStartCrowded}
}
