package server

import (
	"context"

	"github.com/dunlin-edge/dunlin/control/leader"
	"github.com/dunlin-edge/dunlin/control/liveness"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/control/worker"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// leadTerms runs a term for as long as this server leads, one after the other.
func (s *Server) leadTerms(ctx context.Context) error {
	return s.node.Lead(ctx, func(ctx context.Context) {
		if err := s.lead.RunTerm(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Error("the term ended", "error", err)
		}
	})
}

func (s *Server) leaderConfig() leader.Config {
	live := liveness.Config{BeatEvery: s.BeatEvery}
	if s.LostAfter > 0 { // spread over a quarter, so that a site's devices are not replaced all at once
		live.LostMin, live.LostMax = s.LostAfter, s.LostAfter+s.LostAfter/4
	}
	live.MaxLost = s.MaxLost
	pace := func() float64 { return link.Pace(s.handshakeRate()) }
	return leader.Config{Store: s.store, Log: indexLog{s.log}, Rate: pace, Logger: s.Logger, Term: term.Config{Liveness: live, Reap: s.Reap}}
}

// work runs this server's schedulers.
func (s *Server) work(ctx context.Context) error {
	worker.Run(ctx, worker.Config{Leader: s.lead, Workers: s.Schedulers, Logger: s.Logger})
	return nil
}
