package region

import "time"

// beginFaults lets trouble come every now and then, until the calm.
func (s *sim) beginFaults() {
	s.after(s.between(10*time.Second, 25*time.Second), "trouble", s.oneFault)
}

func (s *sim) oneFault() {
	if s.calm {
		return
	}
	m := s.devices[s.rng.IntN(len(s.devices))]
	switch pick := s.rng.IntN(100); {
	case pick < 12:
		s.fault("the server crashes")
		s.server.crash()
	case pick < 26:
		s.fault("the leader steps down")
		s.server.stepDown()
	case pick < 50:
		s.cutDevice(m)
	case pick < 60:
		if m.agentUp {
			s.fault("device %d: the agent is killed", m.n)
			m.agentDies("killed")
			m.bootSoon()
		}
	case pick < 70:
		s.fault("device %d loses power", m.n)
		m.powerFails()
		s.after(s.between(time.Second, 40*time.Second), "agent boots", m.boot)
	case pick < 80:
		if m.hostDies() {
			s.fault("device %d: a host process died", m.n)
		}
	case pick < 84:
		s.takeAway(m)
	case pick < 90:
		s.loseModule(m)
	case pick < 92:
		s.restoreRegion()
	case pick < 94:
		s.stray()
	case pick < 95:
		s.cutSite()
	default:
		if m.link != nil {
			s.fault("device %d: its link drops", m.n)
			m.link.end()
		}
	}
	s.after(s.between(500*time.Millisecond, 12*time.Second), "trouble", s.oneFault)
}

// cutDevice takes the network away, for moments or for longer than the region
// waits.
func (s *sim) cutDevice(m *machine) {
	if m.cut || m.gone {
		return
	}
	lasts := s.between(500*time.Millisecond, 8*time.Second)
	if s.chance(400) {
		lasts = s.between(10*time.Second, 60*time.Second)
	}
	s.fault("device %d is cut off for %s", m.n, lasts)
	m.cut = true
	if m.link != nil {
		m.link.end()
	}
	s.after(lasts, "network returns", func() { m.cut = false })
}

// takeAway removes a device for good, as long as enough stay.
func (s *sim) takeAway(m *machine) {
	left := 0
	for _, o := range s.devices {
		if !o.gone {
			left++
		}
	}
	if m.gone || left <= 2 {
		return
	}
	s.fault("device %d is taken away", m.n)
	m.powerFails()
	m.gone = true
}

// restoreRegion takes the region back to an older state, as an operator does who
// has a backup and nothing else. Promises of the time between are void.
func (s *sim) restoreRegion() {
	log := s.server.log
	if s.restored || !s.server.up || s.server.lead == nil || log.committed < 20 {
		return
	}
	s.restored = true
	s.checks.beforeRestore()
	s.server.crash()
	keep := log.committed - s.rng.IntN(log.committed/2)
	s.fault("the region is restored: %d of %d entries", keep, log.committed)
	log.restoreTo(keep)
	s.checks.afterRestore(uint64(keep))
}

// cutSite takes the network away from many devices at once.
func (s *sim) cutSite() {
	lasts := s.between(20*time.Second, 90*time.Second)
	s.fault("half of the devices are cut off for %s", lasts)
	for i, m := range s.devices {
		if i%2 == 0 && !m.cut && !m.gone {
			m.cut = true
			if m.link != nil {
				m.link.end()
			}
			s.after(lasts, "network returns", func() { m.cut = false })
		}
	}
}

// stray points devices at the server of another region: one that was moved, or
// all of them, as when a server's data folder is emptied and founds itself anew.
func (s *sim) stray() {
	lost := s.devices
	if s.chance(500) {
		lost = lost[s.rng.IntN(len(lost)):][:1]
	}
	s.fault("%d devices are pointed at another region", len(lost))
	for _, m := range lost {
		m.strayed = true
		if m.link != nil {
			m.link.end()
		}
	}
	s.after(s.between(5*time.Second, 40*time.Second), "devices are pointed back", func() {
		for _, m := range lost {
			m.strayed = false
		}
	})
}

// loseModule is an eviction behind the agent's back while it was down.
func (s *sim) loseModule(m *machine) {
	if m.gone {
		return
	}
	s.fault("device %d: the agent is killed and its module cache is emptied", m.n)
	m.agentDies("killed")
	clear(m.cache)
	m.bootSoon()
}

// heal repairs everything that can be.
func (s *sim) heal() {
	for _, m := range s.devices {
		m.cut, m.strayed = false, false
		if !m.agentUp {
			s.after(s.between(0, 5*time.Second), "agent boots", m.boot)
		}
	}
	if !s.server.up {
		s.after(time.Second, "server starts", s.server.start)
	}
}

// finale restarts what should not matter, and then what should.
func (s *sim) finale() {
	before := s.result.Starts
	for _, m := range s.devices {
		switch s.rng.IntN(4) {
		case 0:
			m.agentDies("finale")
			m.bootSoon()
		case 1:
			if m.link != nil {
				m.link.end()
			}
		}
	}
	s.server.stepDown()
	s.runFor(2 * time.Minute)
	if s.result.Starts != before {
		s.object("%d tasks were started because agents restarted and links returned", s.result.Starts-before)
	}
	s.checks.atRest()
	s.offlineBoot()
}

// hasModules says whether everything that runs could be started again here.
func (m *machine) hasModules() bool {
	for _, p := range m.running {
		for _, digest := range p.modules {
			if !m.cache[digest] {
				return false
			}
		}
	}
	return true
}

// offlineBoot takes power and network from all devices: each must start its work
// without anybody.
func (s *sim) offlineBoot() {
	ran := make([]int, len(s.devices))
	for i, m := range s.devices {
		if m.gone || !m.hasModules() {
			continue
		}
		ran[i] = len(m.running)
		m.cut = true
		m.powerFails()
		m.boot()
	}
	s.runFor(10 * time.Second)
	for i, m := range s.devices {
		if m.cut && len(m.running) != ran[i] {
			s.object("device %d ran %d tasks; booted without a server it runs %d", m.n, ran[i], len(m.running))
		}
		m.cut = false
	}
	s.runFor(2 * time.Minute)
	s.checks.atRest()
}
