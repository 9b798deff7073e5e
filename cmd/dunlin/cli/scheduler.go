package cli

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (e *env) schedulerCmd() *cobra.Command {
	c := &cobra.Command{Use: "scheduler", Short: "How the region schedules"}
	c.AddCommand(e.schedulerGet(), e.schedulerSet())
	return c
}

func (e *env) schedulerGet() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "get-config", Short: "Show how the region schedules", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, _, err := c.SchedulerConfiguration(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(r)
			}
			return e.printScheduler(r.SchedulerConfig)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printScheduler(s *fleet.SchedulerConfiguration) error {
	p := s.PreemptionConfig
	return pairs(e.Out, "Scheduler algorithm", s.SchedulerAlgorithm, "Memory oversubscription", s.MemoryOversubscriptionEnabled,
		"Reject job registration", s.RejectJobRegistration, "Pause eval broker", s.PauseEvalBroker,
		"Preemption: system", p.SystemSchedulerEnabled, "Preemption: sysbatch", p.SysBatchSchedulerEnabled,
		"Preemption: service", p.ServiceSchedulerEnabled, "Preemption: batch", p.BatchSchedulerEnabled,
		"Modify index", s.ModifyIndex)
}

// schedulerFlags are the settings, by flag.
func schedulerFlags(f *pflag.FlagSet, s *fleet.SchedulerConfiguration) {
	f.StringVar(&s.SchedulerAlgorithm, "scheduler-algorithm", "", "binpack fills one device before the next; spread takes the emptiest")
	f.BoolVar(&s.MemoryOversubscriptionEnabled, "memory-oversubscription", false, "let tasks take up to their memory_max")
	f.BoolVar(&s.RejectJobRegistration, "reject-job-registration", false, "take no jobs")
	f.BoolVar(&s.PauseEvalBroker, "pause-eval-broker", false, "work on no evaluation")
	f.BoolVar(&s.PreemptionConfig.SystemSchedulerEnabled, "preempt-system-scheduler", false, "let system jobs preempt")
	f.BoolVar(&s.PreemptionConfig.SysBatchSchedulerEnabled, "preempt-sysbatch-scheduler", false, "let sysbatch jobs preempt")
	f.BoolVar(&s.PreemptionConfig.ServiceSchedulerEnabled, "preempt-service-scheduler", false, "let service jobs preempt")
	f.BoolVar(&s.PreemptionConfig.BatchSchedulerEnabled, "preempt-batch-scheduler", false, "let batch jobs preempt")
}

func (e *env) schedulerSet() *cobra.Command {
	var (
		want  fleet.SchedulerConfiguration
		index uint64
	)
	c := &cobra.Command{
		Use: "set-config", Short: "Change how the region schedules", Args: noArgs,
		Long: `Changes the settings that are given and leaves the others as they are. If somebody
else changed one meanwhile, nothing is changed; with -check-index, if anybody did
since that index.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			changed := map[string]string{}
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if f.Name != "check-index" {
					changed[f.Name] = f.Value.String()
				}
			})
			if len(changed) == 0 {
				return usageError("give at least one setting; see: %s -help", cmd.CommandPath())
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			now, _, err := c.SchedulerConfiguration(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			next := *now.SchedulerConfig
			if cmd.Flags().Changed("check-index") && index != next.ModifyIndex {
				return fmt.Errorf("the configuration is at index %d, not %d; nothing was changed", next.ModifyIndex, index)
			}
			into := pflag.NewFlagSet("", pflag.ContinueOnError)
			before := next
			schedulerFlags(into, &next)
			next = before // binding a flag wrote its default
			for name, value := range changed {
				if err := into.Set(name, value); err != nil {
					return usageError("-%s: %v", name, err)
				}
			}
			r, err := c.SetSchedulerConfiguration(cmd.Context(), &next, true)
			if err != nil {
				return e.explain(c, err)
			}
			if !r.Updated {
				return fmt.Errorf("somebody changed the configuration meanwhile; nothing was changed, try again")
			}
			if r.Warnings != "" {
				fmt.Fprintln(e.Err, "warning: "+r.Warnings)
			}
			fmt.Fprintln(e.Out, "the region schedules so from now on")
			return nil
		},
	}
	schedulerFlags(c.Flags(), &want)
	c.Flags().Uint64Var(&index, "check-index", 0, "change it only if it is at this index")
	return c
}
