package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) allocCmd() *cobra.Command {
	c := &cobra.Command{Use: "alloc", Short: "Look at an allocation and its files, run a command in it, or stop it"}
	logs := e.logs()
	logs.Use, logs.GroupID = "logs ALLOC", ""
	c.AddCommand(e.allocStatus(), logs, e.allocFS(), e.allocExec(), e.allocStop(), e.allocAdopt())
	return c
}

func (e *env) allocStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status [ALLOC]", Short: "Show an allocation, its tasks and what happened to them", Args: between(0, "an allocation"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				allocs, _, err := c.Allocations(cmd.Context(), nil)
				if err != nil {
					return e.explain(c, err)
				}
				if asJSON {
					return e.printJSON(allocs)
				}
				return printAllocs(e, allocs)
			}
			a, _, err := c.Allocation(cmd.Context(), fleet.AllocID(args[0]), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(a)
			}
			next, err := followup(cmd.Context(), c, a)
			if err != nil {
				return e.explain(c, err)
			}
			return e.printAlloc(a, next)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printAlloc(a *fleet.Allocation, next time.Time) error {
	kv := []any{
		"ID", a.ID, "Name", a.Name, "Job", fmt.Sprintf("%s version %d", a.JobID, a.JobVersion),
		"Node", fmt.Sprintf("%s (%s)", a.NodeName, fleet.ShortID(a.NodeID)),
		"Desired", words(a.DesiredStatus, a.DesiredDescription), "Status", words(a.ClientStatus, a.ClientDescription),
		"Created", ago(a.CreateTime, time.Now()), "Modified", ago(a.ModifyTime, time.Now()),
	}
	if a.PreviousAllocation != "" {
		kv = append(kv, "Replaces", fleet.ShortID(a.PreviousAllocation))
	}
	if a.NextAllocation != "" {
		kv = append(kv, "Replaced by", fleet.ShortID(a.NextAllocation))
	}
	if r := rescheduleWords(a, next, time.Now()); r != "" {
		kv = append(kv, "Reschedule", r)
	}
	if a.PreemptedByAllocation != "" {
		kv = append(kv, "Preempted by", fleet.ShortID(a.PreemptedByAllocation))
	}
	if len(a.PreemptedAllocations) > 0 {
		kv = append(kv, "Preempted", joinWords(shortIDs(a.PreemptedAllocations)))
	}
	if err := pairs(e.Out, kv...); err != nil {
		return err
	}
	e.printGiven(a.AllocatedResources)
	if err := e.printHeldDevices(a); err != nil {
		return err
	}
	if err := e.printAddresses(a); err != nil {
		return err
	}
	for _, name := range sortedKeys(a.TaskStates) {
		s := a.TaskStates[name]
		fmt.Fprintf(e.Out, "\ntask %q is %s", name, s.State)
		if s.Restarts > 0 {
			fmt.Fprintf(e.Out, ", restarted %d times", s.Restarts)
		}
		fmt.Fprintln(e.Out)
		t := newTable(e.Out)
		for _, ev := range s.Events {
			lines := strings.Split(strings.TrimSpace(ev.DisplayMessage), "\n")
			t.row("  "+time.Unix(0, ev.Time).Format(time.RFC3339), ev.Type, lines[0])
			for _, more := range lines[1:] {
				t.row("  ", " ", more)
			}
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return nil
}

// printGiven says what an allocation was given of its device.
func (e *env) printGiven(r *fleet.AllocatedResources) {
	if r == nil {
		return
	}
	for _, name := range sortedKeys(r.Tasks) {
		t := r.Tasks[name]
		fmt.Fprintf(e.Out, "\ntask %q has %d MHz, %s", name, t.CPU.CPUShares, memoryWords(t.Memory))
	}
	if r.Shared.DiskMB > 0 {
		fmt.Fprintf(e.Out, "\nall of it has %d MiB of disk", r.Shared.DiskMB)
	}
	fmt.Fprintln(e.Out)
}

// memoryWords is what is reserved, and the limit where that is more.
func memoryWords(m fleet.AllocatedMemory) string {
	if m.MemoryMaxMB > 0 {
		return fmt.Sprintf("%d/%d MiB (reserved/limit)", m.MemoryMB, m.MemoryMaxMB)
	}
	return fmt.Sprintf("%d MiB", m.MemoryMB)
}

func shortIDs(ids []fleet.AllocID) (out []string) {
	for _, id := range ids {
		out = append(out, fleet.ShortID(id))
	}
	return out
}

// printHeldDevices shows the devices that tasks of an allocation alone hold.
func (e *env) printHeldDevices(a *fleet.Allocation) error {
	if a.AllocatedResources == nil {
		return nil
	}
	t, some := newTable(e.Out, "TASK", "DEVICE", "IDS"), false
	for _, task := range sortedKeys(a.AllocatedResources.Tasks) {
		for _, d := range a.AllocatedResources.Tasks[task].Devices {
			if !some {
				fmt.Fprintln(e.Out, "\nAllocation Devices")
				some = true
			}
			t.row(task, d.Vendor+"/"+d.Type+"/"+d.Name, strings.Join(d.DeviceIDs, ","))
		}
	}
	if !some {
		return nil
	}
	return t.flush()
}

// printAddresses shows the ports that an allocation alone holds of its device.
func (e *env) printAddresses(a *fleet.Allocation) error {
	if a.AllocatedResources == nil || len(a.AllocatedResources.Shared.Ports) == 0 {
		return nil
	}
	fmt.Fprintln(e.Out, "\nAllocation Addresses")
	t := newTable(e.Out, "LABEL", "DYNAMIC", "ADDRESS")
	for _, n := range a.AllocatedResources.Shared.Networks {
		for _, list := range []struct {
			ports   []fleet.Port
			dynamic bool
		}{{n.ReservedPorts, false}, {n.DynamicPorts, true}} {
			for _, p := range list.ports {
				addr := net.JoinHostPort(n.IP, strconv.Itoa(p.Value))
				if p.To != 0 {
					addr += fmt.Sprintf(" -> %d", p.To)
				}
				t.row(p.Label, list.dynamic, addr)
			}
		}
	}
	return t.flush()
}

func words(status, why string) string {
	if why == "" {
		return status
	}
	return status + ": " + why
}

func (e *env) logs() *cobra.Command {
	var (
		o      api.LogOptions
		stderr bool
		all    bool
		lines  int
	)
	c := &cobra.Command{
		Use:   "logs JOB|ALLOC",
		Short: "Print what a task wrote",
		Long: `Prints the output of a task from its device. Given a job, it reads the newest
allocation that runs, or with -all each of them. A device that is away answers
with since when, and the last lines that are known of the task.`,
		Args: exactly("a job or an allocation"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if stderr {
				o.Stream = api.LogStderr
			}
			o.TailLines = lines
			allocs, err := e.allocsFor(cmd.Context(), c, args[0], all)
			if err != nil {
				return err
			}
			if o.Follow && len(allocs) > 1 {
				return usageError("-f follows one allocation, and %d match; name one of them", len(allocs))
			}
			return e.printLogs(cmd.Context(), c, allocs, o)
		},
	}
	c.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on printing what is written")
	c.Flags().IntVarP(&lines, "lines", "n", 0, "only the last N lines")
	c.Flags().BoolVar(&stderr, "stderr", false, "standard error instead of standard output")
	c.Flags().BoolVar(&all, "all", false, "all allocations of the job, ended ones too")
	c.Flags().StringVar(&o.Task, "task", "", "the task, if the group has several")
	return c
}

func (e *env) printLogs(ctx context.Context, c *api.Client, allocs []fleet.AllocID, o api.LogOptions) error {
	var failed error
	for _, id := range allocs {
		if len(allocs) > 1 {
			fmt.Fprintf(e.Out, "==> %s <==\n", fleet.ShortID(id))
		}
		if err := e.copyLogs(ctx, c, id, o); err != nil {
			if len(allocs) == 1 {
				return err
			}
			fmt.Fprintln(e.Err, "Error:", err)
			failed = &exitError{ExitFailed, nil}
		}
	}
	return failed
}

func (e *env) copyLogs(ctx context.Context, c *api.Client, id fleet.AllocID, o api.LogOptions) error {
	r, err := c.Logs(ctx, id, o)
	if err != nil {
		return e.explain(c, err)
	}
	defer r.Close()
	if _, err := io.Copy(e.Out, r); err != nil && ctx.Err() == nil {
		return e.explain(c, err)
	}
	return nil
}

// clientAndAllocs is the way to the region and what allocsFor finds there, not all of a job.
func (e *env) clientAndAllocs(ctx context.Context, word string) (*api.Client, []fleet.AllocID, error) {
	c, err := e.client()
	if err != nil {
		return nil, nil, err
	}
	ids, err := e.allocsFor(ctx, c, word, false)
	return c, ids, err
}

// allocsFor finds the allocations a word means: an allocation's ID or its
// beginning, or a job's.
func (e *env) allocsFor(ctx context.Context, c *api.Client, word string, all bool) ([]fleet.AllocID, error) {
	if a, _, err := c.Allocation(ctx, fleet.AllocID(word), nil); err == nil {
		return []fleet.AllocID{a.ID}, nil
	} else if !api.IsNotFound(err) && !api.IsStatus(err, 400) {
		return nil, e.explain(c, err)
	}
	j, err := e.job(ctx, c, word)
	if err != nil {
		return nil, err
	}
	stubs, _, err := c.JobAllocations(ctx, j.ID, nil)
	if err != nil {
		return nil, e.explain(c, err)
	}
	if len(stubs) == 0 {
		return nil, fmt.Errorf("job %q has no allocation yet; dunlin status %s shows why", j.ID, j.ID)
	}
	if all {
		var ids []fleet.AllocID
		for _, s := range stubs {
			ids = append(ids, s.ID)
		}
		return ids, nil
	}
	for _, s := range stubs { // newest first
		if s.ClientStatus == fleet.ClientRunning {
			return []fleet.AllocID{s.ID}, nil
		}
	}
	return []fleet.AllocID{stubs[0].ID}, nil
}
