"""DL3 of other instruments: full-enclosure responses at several offsets, other names of HDUs, a PSF of Gaussians."""

import astropy.units as u
import numpy as np
import pytest
import toy_dl3
from astropy.io import fits

from magicpy_assets.formats import dl3, dl3_check, gadf
from magicpy_assets.science import on_off, spectrum_fit

OFFSETS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]) * u.deg
NAMES = {
    "hess": {"EFFECTIVE AREA": "AEFF", "ENERGY DISPERSION": "EDISP", "POINT SPREAD FUNCTION": "PSF"},
    "cta": {},
}


def responses():
    """Area, dispersion and PSF of the toy, without any cut, on a grid of offsets; the area falls to the edge."""
    from gammapy.irf import EffectiveAreaTable2D, EnergyDependentMultiGaussPSF, EnergyDispersion2D
    from gammapy.maps import MapAxis

    energy = MapAxis.from_energy_bounds("30 GeV", "100 TeV", 40, name="energy_true")
    offset = MapAxis.from_edges(OFFSETS, name="offset")
    probability = toy_dl3.detection_probability(energy.center.to_value("GeV"))
    falling = np.exp(-0.5 * (np.maximum(offset.center.to_value("deg") - 0.5, 0) / 0.8) ** 2)
    area = np.pi * toy_dl3.IMPACT_MAX_M**2 * probability[:, np.newaxis] * falling
    aeff = EffectiveAreaTable2D(axes=[energy, offset], data=area, unit="m2")
    edisp = EnergyDispersion2D.from_gauss(
        energy_axis_true=energy, migra_axis=MapAxis.from_bounds(0.2, 5, 150, name="migra", node_type="edges"),
        offset_axis=offset, bias=0, sigma=toy_dl3.RESOLUTION,
    )  # fmt: skip
    shape = area.shape
    columns = {
        "scale": np.full(shape, 1 / (2 * np.pi * np.radians(toy_dl3.PSF_DEG) ** 2)) * u.Unit("sr-1"),
        "sigma_1": np.full(shape, toy_dl3.PSF_DEG) * u.deg,
        "ampl_2": np.zeros(shape) * u.Unit(""), "sigma_2": np.full(shape, 0.1) * u.deg,
        "ampl_3": np.zeros(shape) * u.Unit(""), "sigma_3": np.full(shape, 0.1) * u.deg,
    }  # fmt: skip
    data = np.zeros(shape, dtype=[(name, float) for name in columns])
    for name, values in columns.items():
        data[name] = values.value
    units = {name: values.unit for name, values in columns.items()}
    psf = EnergyDependentMultiGaussPSF(axes=[energy, offset], data=data, unit=units)
    spread = psf.to_table_hdu(format="gadf-dl3")
    cards = {"HDUCLASS": "GADF", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "RPSF", "HDUCLAS3": "FULL-ENCLOSURE"}
    spread.header.update(cards | {"HDUCLAS4": "PSF_3GAUSS"})  # gammapy writes none
    return aeff.to_table_hdu(format="gadf-dl3"), edisp.to_table_hdu(format="gadf-dl3"), spread


@pytest.fixture(scope="module", params=NAMES)
def folder(request, tmp_path_factory):
    """Two runs of the toy as another instrument would write them."""
    place = tmp_path_factory.mktemp(request.param)
    for number, wobble in ((20001, 35), (20002, 215)):
        run = toy_dl3.crab_run(number, 1200, wobble, seed=number, background_hz=1.0, start=59165.2 + 0.02 * number)
        hdus = [fits.PrimaryHDU(), gadf.events_hdu(run.cards, run.columns), gadf.gti_hdu(run.cards)]
        for hdu, name in zip(
            responses(), ("EFFECTIVE AREA", "ENERGY DISPERSION", "POINT SPREAD FUNCTION"), strict=True
        ):
            hdu.name = NAMES[request.param].get(name, name)
            hdus.append(hdu)
        fits.HDUList(hdus).writeto(place / f"run_{number}.fits")
    return place


def test_they_are_checked_without_an_error(folder):
    findings = [one for one in dl3_check.check(folder) if one.check != "FITS standard"]
    assert "error" not in {finding.verdict for finding in findings}, findings


def test_the_flux_put_in_comes_out(folder):
    observations = dl3.open_observations(folder)
    assert {type(one.psf).__name__ for one in observations} == {"EnergyDependentMultiGaussPSF"}
    found = spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, energy_range_tev=(0.2, 20.0))
    for name, truth in toy_dl3.SPECTRUM.items():
        value, error = found.parameter(name)
        assert abs(value - truth) < 3.5 * error, (name, value, error, truth)


def test_the_energies_are_safe_at_the_offset_of_the_source(folder):
    """The area of the toy passes 10 % of its maximum at 38 GeV, wherever it falls to the edge of the field."""
    observation = dl3.open_observations(folder)[0]
    assert on_off.safe_range(observation, toy_dl3.CRAB_DEG).low_tev == pytest.approx(0.0385, rel=0.25)
