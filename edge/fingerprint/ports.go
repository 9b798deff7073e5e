package fingerprint

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseUSB names a USB device as vendor:product; empty for hubs (class 9) and
// for what is no device.
func parseUSB(vendor, product, class string) string {
	vendor, product = strings.TrimSpace(vendor), strings.TrimSpace(product)
	if !isHex4(vendor) || !isHex4(product) || strings.TrimSpace(class) == "09" {
		return ""
	}
	return strings.ToLower(vendor + ":" + product)
}

func isHex4(s string) bool {
	_, err := strconv.ParseUint(s, 16, 16)
	return len(s) == 4 && err == nil
}

// serialPort says whether a tty with a device behind it is a port. Kernels make
// four ttyS with or without hardware; those without have the UART type 0.
func serialPort(name, uartType string) bool {
	if !strings.HasPrefix(name, "tty") || len(name) < 5 || !strings.ContainsAny(name[3:4], "ABCDEFGHIJKLMNOPQRSTUVWXYZmhts") {
		return false
	}
	return !strings.HasPrefix(name, "ttyS") || strings.TrimSpace(uartType) != "0"
}

// codecs are drivers that show up among cameras and are coders, scalers or test
// devices.
var codecs = []string{
	"bcm2835-codec", "bcm2835-isp", "rpivid", "rpi-hevc-dec", "pispbe", "hantro-vpu", "rkvdec", "rockchip-rga", "rga", "cedrus",
	"coda", "vicodec", "vim2m", "s5p-mfc", "mtk-vcodec", "meson-vdec", "wave5", "venus", "amphion",
}

// cameraName is the name of a camera; empty for codecs and for the nodes of a
// camera that carry no picture (index above 0).
func cameraName(name, index, driver string) string {
	name, index = parseModel(name), strings.TrimSpace(index)
	if index != "" && index != "0" {
		return ""
	}
	for _, c := range codecs {
		if strings.HasPrefix(name, c) || strings.HasPrefix(driver, c) {
			return ""
		}
	}
	return name
}

// plugged finds what can come and go by a plug.
func (p *prober) plugged() {
	var usb, serial, cameras []string
	for _, dir := range p.glob("sys/bus/usb/devices/*") {
		usb = append(usb, parseUSB(p.read(path.Join(dir, "idVendor")), p.read(path.Join(dir, "idProduct")), p.read(path.Join(dir, "bDeviceClass"))))
	}
	for _, dir := range p.glob("sys/class/tty/tty*") {
		name := path.Base(dir)
		if p.exists(path.Join(dir, "device")) && serialPort(name, p.read(path.Join(dir, "type"))) {
			serial = append(serial, name)
		}
	}
	for _, dir := range p.glob("sys/class/video4linux/video*") {
		driver := parseUevent(p.read(path.Join(dir, "device/uevent")), "DRIVER")
		cameras = append(cameras, cameraName(p.read(path.Join(dir, "name")), p.read(path.Join(dir, "index")), driver))
	}
	p.setSorted("usb.devices", usb)
	p.setSorted("serial.ports", serial)
	p.setSorted("camera.names", cameras)
}

// buses finds I²C, SPI and GPIO.
func (p *prober) buses() {
	for _, f := range []struct {
		attr  string
		globs []string // the first that has something
	}{
		{"i2c.buses", []string{"sys/class/i2c-dev/i2c-*", "sys/class/i2c-adapter/i2c-*"}},
		{"spi.devices", []string{"sys/class/spidev/spidev*"}},
		{"gpio.chips", []string{"sys/bus/gpio/devices/gpiochip*", "sys/class/gpio/gpiochip*"}},
	} {
		for _, g := range f.globs {
			if found := p.glob(g); len(found) > 0 {
				for i := range found {
					found[i] = path.Base(found[i])
				}
				p.setSorted(f.attr, found)
				break
			}
		}
	}
}

// notGPUs have a render node and render in software, or for a test.
var notGPUs = []string{"vgem", "vkms", "simpledrm", "virtio_gpu", "virtio-pci"}

// gpus finds what can compute or draw. A card node alone is a display: only the
// render node says that there is an engine behind it.
func (p *prober) gpus() {
	var drivers, models []string
	note := func(uevent string) {
		driver := parseUevent(uevent, "DRIVER")
		if driver == "" || slices.Contains(notGPUs, driver) {
			return
		}
		drivers = append(drivers, driver)
		models = append(models, strings.ToLower(parseUevent(uevent, "PCI_ID")))
	}
	for _, dir := range p.glob("sys/class/drm/renderD*") {
		note(p.read(path.Join(dir, "device/uevent")))
	}
	for _, name := range []string{"sys/devices/platform/gpu.0/uevent", "sys/devices/gpu.0/uevent"} { // Tegra
		note(p.read(name))
	}
	if len(p.glob("sys/class/misc/mali*")) > 0 { // Arm's own driver has no render node
		drivers = append(drivers, "mali")
	}
	for _, name := range p.glob("proc/driver/nvidia/gpus/*/information") {
		drivers = append(drivers, "nvidia")
		models = append(models, parseNvidia(p.read(name)))
	}
	p.setSorted("gpu.drivers", drivers)
	p.setSorted("gpu.models", models)
}

// parseNvidia reads the model from the proprietary driver's information.
func parseNvidia(text string) string {
	for line := range strings.Lines(text) {
		if model, ok := strings.CutPrefix(line, "Model:"); ok {
			return parseModel(strings.TrimSpace(model))
		}
	}
	return ""
}

// parseTPM reads a TPM's version from its own file, or from the caps that
// kernels before 5.6 have for version 1.2.
func parseTPM(major, caps string) string {
	switch strings.TrimSpace(major) {
	case "2":
		return "2.0"
	case "1":
		return "1.2"
	}
	if strings.Contains(caps, "TCG version: 1.2") {
		return "1.2"
	}
	return ""
}

func (p *prober) tpm() {
	for _, dir := range p.glob("sys/class/tpm/tpm*") {
		version := parseTPM(p.read(path.Join(dir, "tpm_version_major")), p.read(path.Join(dir, "device/caps"))+p.read(path.Join(dir, "caps")))
		if version == "" && len(p.glob("sys/class/tpmrm/tpmrm*")) > 0 { // a resource manager is made for 2.0 only
			version = "2.0"
		}
		p.set("tpm.version", version)
		if version != "" {
			return
		}
	}
}

// clockEpoch is before any time at which this program can run: a clock that
// shows less has lost its battery, or never had one.
var clockEpoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// parseClock says whether a hardware clock kept its time: "true" if the system's
// clock was set from it at boot and it shows a possible time, "false" if its time
// is impossible, else empty.
func parseClock(hctosys, sinceEpoch string) string {
	shows, err := strconv.ParseInt(strings.TrimSpace(sinceEpoch), 10, 64)
	switch {
	case err != nil:
		return ""
	case shows < clockEpoch:
		return "false"
	case strings.TrimSpace(hctosys) == "1":
		return "true"
	}
	return ""
}

func (p *prober) clock() {
	if p.exists("sys/class/rtc") && len(p.glob("sys/class/rtc/rtc*")) == 0 {
		p.setBool("clock.battery", false) // the kernel knows of clocks, and there is none
		return
	}
	word := ""
	for _, dir := range p.glob("sys/class/rtc/rtc*") {
		got := parseClock(p.read(path.Join(dir, "hctosys")), p.read(path.Join(dir, "since_epoch")))
		if word == "" || got == "true" { // the clock of a SoC without battery may stand beside one that has it
			word = got
			if name, _, _ := strings.Cut(p.read(path.Join(dir, "name")), " "); name != "" {
				p.set("clock.rtc", parseModel(name))
			}
		}
	}
	p.set("clock.battery", word)
}
