package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/dunlin-edge/dunlin/wire/trust"
	"github.com/spf13/cobra"
)

// Lives of certificates made by hand.
const (
	caTTL   = 10 * 365 * 24 * time.Hour
	certTTL = 365 * 24 * time.Hour
)

func (e *env) tlsCmd() *cobra.Command {
	c := &cobra.Command{Use: "tls", Short: "Make certificates for regions that bring their own files"}
	ca := &cobra.Command{Use: "ca", Short: "A region's certificate authority"}
	cert := &cobra.Command{Use: "cert", Short: "Certificates of servers, nodes and operators"}
	ca.AddCommand(e.tlsCA())
	cert.AddCommand(e.tlsCert())
	c.AddCommand(ca, cert)
	return c
}

func (e *env) tlsCA() *cobra.Command {
	var dir, region string
	var days int
	c := &cobra.Command{
		Use: "create", Short: "Make a region's CA: ca.pem and ca-key.pem", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := os.Stat(filepath.Join(dir, trust.CAFile)); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already; a second CA would lock every device out", filepath.Join(dir, trust.CAFile))
			}
			ca, err := trust.NewCA(region, time.Now(), time.Duration(days)*24*time.Hour)
			if err != nil {
				return err
			}
			if err := trust.SaveCA(dir, ca); err != nil {
				return err
			}
			fmt.Fprintf(e.Out, "wrote %s and %s\nfingerprint %s\n", filepath.Join(dir, trust.CAFile), filepath.Join(dir, trust.CAKeyFile), ca.Fingerprint())
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "folder to write to")
	c.Flags().StringVar(&region, "name", "global", "name of the region")
	c.Flags().IntVar(&days, "days", int(caTTL/(24*time.Hour)), "days it is valid")
	return c
}

func (e *env) tlsCert() *cobra.Command {
	var (
		dir, caDir, kind, id string
		names, ips           []string
		days                 int
	)
	c := &cobra.Command{
		Use: "create", Short: "Make a certificate signed by the CA in a folder", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			ca, err := trust.LoadCAFolder(caDir)
			if err != nil {
				return fmt.Errorf("no CA in %s (%w); make one with: dunlin tls ca create", caDir, err)
			}
			if id == "" {
				return usageError("-id is missing: the server's or operator's name, or the node's UUID")
			}
			var addrs []net.IP
			for _, s := range ips {
				ip := net.ParseIP(s)
				if ip == nil {
					return usageError("-ip %q is not an IP address", s)
				}
				addrs = append(addrs, ip)
			}
			m, err := ca.Issue(trust.Identity{Region: ca.Region, Kind: trust.Kind(kind), ID: id}, time.Now(), time.Duration(days)*24*time.Hour, names, addrs)
			if err != nil {
				return err
			}
			files, err := m.Files()
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(dir, trust.CertFile)); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already; choose another folder with -dir", filepath.Join(dir, trust.CertFile))
			}
			if err := files.Save(dir); err != nil {
				return err
			}
			fmt.Fprintf(e.Out, "wrote %s, %s and %s for %s\n", trust.CAFile, trust.CertFile, trust.KeyFile, m.Identity)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "folder to write to")
	c.Flags().StringVar(&caDir, "ca-dir", ".", "folder of the CA")
	c.Flags().StringVar(&kind, "kind", "operator", "server, node, operator or gateway")
	c.Flags().StringVar(&kind, "role", "operator", "the same as -kind")
	c.Flags().StringVar(&id, "id", "", "name of the server or operator, or the node's UUID")
	c.Flags().StringSliceVar(&names, "dns", nil, "DNS names, for HTTPS clients")
	c.Flags().StringSliceVar(&ips, "ip", nil, "IP addresses, for HTTPS clients")
	c.Flags().IntVar(&days, "days", int(certTTL/(24*time.Hour)), "days it is valid")
	return c
}
