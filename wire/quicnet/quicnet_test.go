package quicnet_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openUDP(t *testing.T, serverTLS *tls.Config, c linktest.Credentials, _ float64) linktest.Endpoint {
	t.Helper()
	o := quicnet.Options{ServerTLS: serverTLS}
	if c != nil {
		o.Credentials = c
	}
	e, err := quicnet.Open("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformanceOverUDP(t *testing.T) {
	for _, c := range linktest.Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, openUDP) })
	}
}

func TestPortInUseNamesThePort(t *testing.T) {
	e, err := quicnet.Open("127.0.0.1:0", quicnet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	address := e.Addr().String()
	_, err = quicnet.Open(address, quicnet.Options{})
	if err == nil {
		t.Fatal("one port twice")
	}
	_, port, _ := strings.Cut(address, ":")
	if !strings.Contains(err.Error(), "port "+port) || !strings.Contains(err.Error(), address) {
		t.Errorf("%q names not both the port and the address", err)
	}
}

func TestAddressesThatCannotBe(t *testing.T) {
	for _, address := range []string{"nonsense", "127.0.0.1:99999", "127.0.0.1:x"} {
		if e, err := quicnet.Open(address, quicnet.Options{}); err == nil {
			e.Close()
			t.Errorf("opened %q", address)
		} else if !strings.Contains(err.Error(), address) {
			t.Errorf("%q does not name the address %q", err, address)
		}
	}
}
