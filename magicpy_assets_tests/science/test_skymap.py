"""Sky maps of toy events: a source where it is, nothing where nothing is."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError
from magicpy_assets.plots.maps import known_sources, skymap_figure
from magicpy_assets.science.skymap import SkymapResult, skymap

CENTRE = (83.6, 22.0)
COSINE = np.cos(np.radians(CENTRE[1]))


def observation(obs_id, wobble_deg, seed, *, n_source, n_background, source=(0.0, 0.0)):
    """What the map reads of a gammapy observation: background falling with distance from the pointing, and a source."""
    rng = np.random.default_rng(seed)
    pointing = (0.4 * np.sin(np.radians(wobble_deg)), 0.4 * np.cos(np.radians(wobble_deg)))
    radius, angle = np.abs(rng.normal(0, 0.7, n_background)), rng.uniform(0, 2 * np.pi, n_background)
    radius = np.sqrt(radius * 1.2)  # denser in the middle, as a camera's acceptance is
    x = np.r_[pointing[0] + radius * np.cos(angle), source[0] + rng.normal(0, 0.05, n_source)]
    y = np.r_[pointing[1] + radius * np.sin(angle), source[1] + rng.normal(0, 0.05, n_source)]
    table = Table(
        {
            "RA": (CENTRE[0] + x / COSINE) * _unit("deg"), "DEC": (CENTRE[1] + y) * _unit("deg"),
            "ENERGY": np.full(len(x), 0.5) * _unit("TeV"),
        },
        meta={
            "OBJECT": "Toy", "RA_PNT": CENTRE[0] + pointing[0] / COSINE, "DEC_PNT": CENTRE[1] + pointing[1],
            "SIMULATD": True,
        },
    )  # fmt: skip
    time = Time([59165.2], format="mjd")
    return SimpleNamespace(
        obs_id=obs_id, events=SimpleNamespace(table=table), observation_live_time_duration=600 * _unit("s"),
        gti=SimpleNamespace(time_start=time, time_stop=time),
    )  # fmt: skip


def _unit(name):
    import astropy.units as u

    return u.Unit(name)


def runs(n_source, seed, **more):
    return [
        observation(i, angle, seed + i, n_source=n_source, n_background=4000, **more)
        for i, angle in enumerate((35, 215, 125, 305))
    ]


def test_a_source_stands_out_where_it_is_and_the_rest_is_flat():
    result = skymap(runs(60, seed=1), CENTRE)
    peak, x, y = result.peak
    assert peak > 8
    assert np.hypot(x, y) < 0.05
    assert abs(result.residual_mean) < 0.3
    assert 0.8 < result.residual_rms < 1.2
    middle = 0.5 * (result.edges_deg[1:] + result.edges_deg[:-1])
    at_source = np.argmin(np.abs(middle))
    # a disc of two sigma holds 86 % of 240 events
    assert result.excess[at_source, at_source] == pytest.approx(240 * 0.86, abs=5 * np.sqrt(240 + 2 * 60))


def test_an_empty_field_has_no_excess():
    result = skymap(runs(0, seed=50), CENTRE)
    middle = 0.5 * (result.edges_deg[1:] + result.edges_deg[:-1])
    at_source = np.argmin(np.abs(middle))
    assert abs(result.significance[at_source, at_source]) < 4
    assert np.nanmax(result.significance) < 5.5


def test_a_second_source_away_from_the_centre_is_found_too():
    result = skymap(runs(80, seed=9, source=(0.5, -0.3)), CENTRE)
    _, x, y = result.peak
    assert np.hypot(x - 0.5, y + 0.3) < 0.05


def test_a_map_survives_being_saved_and_is_drawn(tmp_path):
    result = skymap(runs(60, seed=3), CENTRE)
    assert {path.name for path in result.save(tmp_path)} == {"skymap.json", "skymap.ecsv", "skymap.parquet"}
    back = SkymapResult.load(tmp_path)
    np.testing.assert_array_equal(back.significance, result.significance)
    assert back.simulated
    figure = skymap_figure(back)
    figure.savefig(tmp_path / "map.png")
    assert {"Significance (σ)", "Excess (events)"} <= {axes.get_title() for axes in figure.axes}
    said = "\n".join(text.get_text() for text in figure.texts)
    assert "SIMULATED" in said
    assert "live time 40.0 min" in said.replace("\n", " ")


def test_too_few_events_are_refused():
    few = [observation(1, 35, 1, n_source=0, n_background=5)]
    with pytest.raises(InputError, match="too few to measure the acceptance"):
        skymap(few, CENTRE)


def test_the_acceptance_goes_with_live_time_and_not_with_the_number_of_events():
    """Opposite pointings of the same time, one of which happens to hold a flare of 3000 events."""
    pair = [
        observation(1, 35, 5, n_source=3000, n_background=4000),
        observation(2, 215, 6, n_source=50, n_background=4000),
    ]
    result = skymap(pair, CENTRE)
    assert abs(result.residual_mean) < 0.15
    middle = 0.5 * (result.edges_deg[1:] + result.edges_deg[:-1])
    x, y = np.meshgrid(middle, middle)
    along = x * np.sin(np.radians(35)) + y * np.cos(np.radians(35))
    sides = [result.significance[result.beside & (sign * along > 0.4)].mean() for sign in (1, -1)]
    # each half has some 50 independent discs
    assert abs(sides[0] - sides[1]) < 4 * np.sqrt(2 / 50)


def test_cells_have_an_acceptance_each():
    """Two cells of different background: 40 min with few events on one side, as long with many on the other."""
    pair = [
        observation(1, 35, 15, n_source=0, n_background=1000),
        observation(2, 215, 16, n_source=0, n_background=9000),
    ]
    result = skymap(pair, CENTRE, groups={1: "dark", 2: "moon"})
    assert abs(result.residual_mean) < 0.15
    assert 0.85 < result.residual_rms < 1.15


def test_other_sources_are_no_background():
    """A bright one in the ring of the middle: unless it is left out, it makes a hole where nothing is."""
    from magicpy_assets.science.field import Neighbour

    other = Neighbour("Other", CENTRE[0] + 0.5 / COSINE, CENTRE[1])
    bright = runs(400, seed=20, source=(0.5, 0.0))
    middle = np.s_[40, 40]
    with_it, without = (skymap(bright, CENTRE, avoid=avoid) for avoid in ((), (other,)))
    assert with_it.significance[middle] < -4
    assert abs(without.significance[middle]) < 3.5
    assert abs(without.residual_mean) < 0.3
    assert len(without.excluded) == 2


def test_the_maps_are_objects_of_gammapy(tmp_path):
    from astropy.coordinates import SkyCoord
    from gammapy.maps import Map

    result = skymap(runs(80, seed=9, source=(0.5, -0.3)), CENTRE)
    maps = result.gammapy
    assert set(maps) == {"significance", "excess", "on", "background"}
    peak, x, y = result.peak
    there = SkyCoord(*CENTRE, unit="deg").spherical_offsets_by(x * _unit("deg"), y * _unit("deg"))
    assert maps["significance"].get_by_coord(there)[0] == pytest.approx(peak)
    maps["excess"].write(tmp_path / "excess.fits")
    again = Map.read(tmp_path / "excess.fits")
    np.testing.assert_allclose(again.data, maps["excess"].data)
    np.testing.assert_allclose(result.tables()["skymap"]["excess"], result.excess.ravel())


def test_a_map_with_nothing_beside_the_source_is_saved_written_and_drawn(tmp_path):
    from magicpy_assets.formats.skymap_fits import write_skymap

    nothing = replace(skymap(runs(60, seed=3), CENTRE), residual_mean=float("nan"), residual_rms=float("nan"))
    nothing.save(tmp_path)
    back = SkymapResult.load(tmp_path)
    assert np.isnan(back.residual_rms)
    assert write_skymap(back, tmp_path / "small.fits").is_file()
    skymap_figure(back).savefig(tmp_path / "small.png")


def test_other_sources_of_the_field_are_marked():
    perseus = sources.by_name("NGC1275")
    result = replace(skymap(runs(60, seed=3), CENTRE), centre_deg=(perseus.ra_deg, perseus.dec_deg))
    marked = {name: (x, y) for name, x, y in known_sources(result)}
    other = sources.by_name("IC310")
    x, y = marked["IC310"]
    assert np.hypot(x, y) == pytest.approx(
        sources.separation_deg(perseus.ra_deg, perseus.dec_deg, other.ra_deg, other.dec_deg), rel=1e-3
    )
    assert "NGC1275" not in marked  # it is the one in the middle, called by the name of the runs
    assert marked[result.exposure.source] == (0.0, 0.0)
