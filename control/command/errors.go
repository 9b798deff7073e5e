package command

import "errors"

// Why an entry could not be applied. The errors that Apply returns wrap these
// and name the thing.
var (
	ErrInvalid          = errors.New("invalid command") // a value that no proposer should send
	ErrFounded          = errors.New("the region was founded already")
	ErrCheckIndex       = errors.New("the job was changed since it was read")
	ErrNoSuchJob        = errors.New("no such job")
	ErrNoSuchVersion    = errors.New("no such job version")
	ErrNoSuchNode       = errors.New("no such node")
	ErrNoSuchAlloc      = errors.New("no such allocation")
	ErrExists           = errors.New("it exists already")
	ErrNoSuchInvite     = errors.New("no such invite")
	ErrInviteUsed       = errors.New("the invite was used already; make a new one")
	ErrInviteExpired    = errors.New("the invite has expired; make a new one")
	ErrRevoked          = errors.New("it was revoked for good; let the device join again with a new invite: dunlin node invite")
	ErrUnknownKey       = errors.New("this key is not the one that the region knows for it; let the device join again: dunlin node invite")
	ErrInvitesFull      = errors.New("too many open invites; wait until some expire")
	ErrEnded            = errors.New("nothing is left to stop")
	ErrNotAdoptable     = errors.New("the orphan cannot be adopted")
	ErrNoSuchPool       = errors.New("no such node pool; see: dunlin node pool list")
	ErrPoolInUse        = errors.New("it is in use")
	ErrBuiltIn          = errors.New("it is built in and cannot be changed")
	ErrNoSuchDeployment = errors.New("no such deployment")
	ErrNoSuchEval       = errors.New("no such evaluation")
	ErrEvalKept         = errors.New("it cannot be deleted")
	ErrEpochJustRaised  = errors.New("too soon")
)
