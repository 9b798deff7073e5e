package tlsnet_test

import (
	"crypto/tls"
	"testing"

	"go.uber.org/goleak"

	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openTCP(t *testing.T, serverTLS *tls.Config, c linktest.Credentials, _ float64) linktest.Endpoint {
	t.Helper()
	o := tlsnet.Options{ServerTLS: serverTLS}
	if c != nil {
		o.Credentials = c
	}
	address := "127.0.0.1:0"
	if serverTLS == nil {
		address = ""
	}
	e, err := tlsnet.Open(address, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformanceOverTCP(t *testing.T) {
	for _, c := range linktest.Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, openTCP) })
	}
}
