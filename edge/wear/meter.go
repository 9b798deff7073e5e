package wear

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Reading is what a source says: which life of it, and its count since that began.
type Reading struct{ Epoch, Count int64 }

// Meter is a ledger in use.
type Meter struct {
	now func() time.Time

	mu      sync.Mutex
	ledger  Ledger
	modules int64 // bytes of modules since this process began
}

// NewMeter goes on with a ledger.
func NewMeter(l Ledger, now func() time.Time) *Meter { return &Meter{ledger: l, now: now} }

// Named counts what a source of a class says.
func (m *Meter) Named(class fleet.WriteClass, source string, r Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger.Add(class, source, r.Epoch, r.Count, m.now())
}

// Kernel counts what the kernel says of a process and its children.
func (m *Meter) Kernel(source string, r Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger.AddKernel(source, r.Epoch, r.Count, m.now())
}

// Module counts a module that was brought here. epoch names this process.
func (m *Meter) Module(epoch, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.modules += n
	m.ledger.Add(fleet.WriteModules, "modules", epoch, m.modules, m.now())
}

// Bytes is the ledger to write down.
func (m *Meter) Bytes() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(&m.ledger)
}

// View is what operators are shown.
func (m *Meter) View() *fleet.DiskWrites {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.View(m.now())
}
