package command

import (
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// EntryBytesMax bounds one encoded command.
const EntryBytesMax = 4 << 20

// Command is one of this package's command structs, or a pointer to one.
type Command interface {
	code() byte
	append(b []byte) []byte
}

// Family codes. They are in logs on disk: only append.
const (
	codeRegionFound     = 1
	codeJobRegister     = 2
	codeJobDeregister   = 3
	codeJobEvaluate     = 4
	codeNodeRegister    = 5
	codeNodeLinks       = 6
	codeNodeEligibility = 7
	codeEvalsPut        = 8
	codeStatuses        = 9
	codePlan            = 10
	codeModulePut       = 11
	codeInvitePut       = 12
	codeInviteUse       = 13
	codeNodeFacts       = 14

	codeIdentitySeen     = 35
	codeIdentityStanding = 36
	codeIdentityClone    = 37
	codeInviteRevoke     = 38
	codeMarkBegin        = 40
	codeEpochRaise       = 41
	codeNodeOrphans      = 42
	codeAllocStop        = 43
	codeAllocAdopt       = 44
	codeBrakeSet         = 45
	codeNodePoolPut      = 50
	codeNodePoolDelete   = 51
	codeSchedulerSet     = 53

	codeNodeDrain = 55
	codeDrainStep = 56
	codeReap      = 59

	codePlanGranted        = 60 // a plan whose placements hold something, and may evict and place older versions
	codeNodeOrphansGranted = 61

	codePlanEvict = 70 // a plan that evicts, and may place older versions

	codeDeploymentPut    = 75
	codeDeploymentStatus = 76
	codePlanBack         = 77 // a plan that places older versions too
	codeEvalsDelete      = 78
)

// family is how one version of one kind of command is read and applied.
type family struct {
	code, version byte
	name          string
	decode        func(*codec.Reader) Command
	apply         func(x *state.Txn, index uint64, c Command) (any, error)
}

func row[C Command, R any](code, version byte, name string, decode func(*codec.Reader) C,
	apply func(*state.Txn, uint64, C) (R, error),
) family {
	return family{
		code: code, version: version, name: name,
		decode: func(r *codec.Reader) Command { return decode(r) },
		apply: func(x *state.Txn, index uint64, c Command) (any, error) {
			result, err := apply(x, index, c.(C))
			if err != nil {
				return nil, err
			}
			return result, nil
		},
	}
}

// families is every command that a log may hold. The last row of a code is the
// one that Encode writes.
var families = []family{
	row(codeRegionFound, 1, "region found", readRegionFound, applyRegionFound),
	row(codeJobRegister, 1, "job register", readJobRegister, applyJobRegister),
	row(codeJobDeregister, 1, "job deregister", readJobDeregister, applyJobDeregister),
	row(codeJobEvaluate, 1, "job evaluate", readJobEvaluate, applyJobEvaluate),
	row(codeNodeRegister, 1, "node register", readNodeRegister, applyNodeRegister),
	row(codeNodeLinks, 1, "node links", readNodeLinks, applyNodeLinks),
	row(codeNodeEligibility, 1, "node eligibility", readNodeEligibility, applyNodeEligibility),
	row(codeEvalsPut, 1, "evaluations put", readEvalsPut, applyEvalsPut),
	row(codeStatuses, 1, "statuses", readStatuses, applyStatuses),
	row(codePlan, 1, "plan", readPlan, applyPlan),
	row(codeModulePut, 1, "module put", readModulePut, applyModulePut),
	row(codeInvitePut, 1, "invite put", readInvitePut, applyInvitePut),
	row(codeInviteUse, 1, "invite use", readInviteUse, applyInviteUse),
	row(codeNodeFacts, 1, "node facts", readNodeFacts, applyNodeFacts),
	row(codeIdentitySeen, 1, "identity seen", readIdentitySeen, applyIdentitySeen),
	row(codeIdentityStanding, 1, "identity standing", readIdentityStanding, applyIdentityStanding),
	row(codeIdentityClone, 1, "identity clone", readIdentityClone, applyIdentityClone),
	row(codeInviteRevoke, 1, "invite revoke", readInviteRevoke, applyInviteRevoke),

	row(codeMarkBegin, 1, "mark begin", readMarkBegin, applyMarkBegin),
	row(codeEpochRaise, 1, "epoch raise", readEpochRaise, applyEpochRaise),
	row(codeNodeOrphans, 1, "node orphans", readNodeOrphans, applyNodeOrphans),
	row(codeAllocStop, 1, "allocation stop", readAllocStop, applyAllocStop),
	row(codeAllocAdopt, 1, "allocation adopt", readAllocAdopt, applyAllocAdopt),
	row(codeBrakeSet, 1, "brake set", readBrakeSet, applyBrakeSet),
	row(codeNodePoolPut, 1, "node pool put", readNodePoolPut, applyNodePoolPut),
	row(codeNodePoolDelete, 1, "node pool delete", readNodePoolDelete, applyNodePoolDelete),
	row(codeSchedulerSet, 1, "scheduler set", readSchedulerSet, applySchedulerSet),
	row(codeNodeDrain, 1, "node drain", readNodeDrain, applyNodeDrain),
	row(codeDrainStep, 1, "drain step", readDrainStep, applyDrainStep),
	row(codeReap, 1, "reap", readReap, applyReap),
	row(codePlanEvict, 1, "plan with evictions", readPlanEvict, applyPlan),
	row(codeDeploymentPut, 1, "deployment put", readDeploymentPut, applyDeploymentPut),
	row(codeDeploymentStatus, 1, "deployment status", readDeploymentStatus, applyDeploymentStatus),
	row(codePlanBack, 1, "plan with older versions", readPlan, applyPlan),
	row(codeEvalsDelete, 1, "evaluations delete", readEvalsDelete, applyEvalsDelete),
	row(codePlanGranted, 1, "plan with grants", readPlanGranted, applyPlan),
	row(codeNodeOrphansGranted, 1, "node orphans with grants", readNodeOrphansGranted, applyNodeOrphans),
}

type familyKey struct{ code, version byte }

var byKey, newest = func() (map[familyKey]*family, map[byte]*family) {
	keys, last := map[familyKey]*family{}, map[byte]*family{}
	for i := range families {
		f := &families[i]
		keys[familyKey{f.code, f.version}], last[f.code] = f, f
	}
	return keys, last
}()

// UnknownError says that an entry is of a family or version that this program
// does not know.
type UnknownError struct{ Family, Version byte }

// Error names both bytes and what to do.
func (e *UnknownError) Error() string {
	if f := newest[e.Family]; f != nil {
		return fmt.Sprintf("the log holds a %q command of version %d; this program knows version %d: run the version of dunlin that wrote it, or a newer one",
			f.name, e.Version, f.version)
	}
	return fmt.Sprintf("the log holds a command of family %d (version %d), which this program does not know: run the version of dunlin that wrote it, or a newer one",
		e.Family, e.Version)
}

// ErrMalformed says that an entry of a known family does not decode.
var ErrMalformed = errors.New("malformed command")

// Encode is the log entry of a command. Entries longer than [EntryBytesMax] are
// refused by [Check] and [Apply].
func Encode(c Command) []byte {
	return c.append([]byte{c.code(), newest[c.code()].version})
}

// Check says whether an entry decodes; a proposer asks before it is logged.
func Check(entry []byte) error {
	_, err := Decode(entry)
	return err
}

// Decode reads an entry. The result may alias it.
func Decode(entry []byte) (Command, error) {
	_, c, err := decode(entry)
	return c, err
}

func decode(entry []byte) (*family, Command, error) {
	if len(entry) < 2 {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, at least 2 are needed", ErrMalformed, len(entry))
	}
	if len(entry) > EntryBytesMax {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrMalformed, len(entry), EntryBytesMax)
	}
	f := byKey[familyKey{entry[0], entry[1]}]
	if f == nil {
		return nil, nil, &UnknownError{Family: entry[0], Version: entry[1]}
	}
	r := codec.NewReader(entry[2:])
	c := f.decode(r)
	if err := r.Close(); err != nil {
		return f, nil, fmt.Errorf("%w: %s: %v", ErrMalformed, f.name, err)
	}
	return f, c, nil
}

// Apply changes the state as an entry says and returns the family's result, such
// as [JobRegistered]. After an error the transaction is as it was before. Only
// an *[UnknownError] must stop the log; all others are for the proposer.
func Apply(x *state.Txn, index uint64, entry []byte) (any, error) {
	f, c, err := decode(entry)
	if err != nil {
		return nil, err
	}
	result, err := f.apply(x, index, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	x.Fold(entry)
	return result, nil
}
