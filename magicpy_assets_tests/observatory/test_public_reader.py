"""The public reader of MAGIC calibrated files reads ours unchanged: ctapipe with ctapipe-io-magic."""

import numpy as np
import pytest

from magicpy_assets.formats.calibrated import CalibratedFile
from magicpy_assets.observatory import montecarlo, nights
from magicpy_assets.observatory.programme import programme
from magicpy_assets.science import corsika
from magicpy_assets.science.pointing import altaz_of

pytest.importorskip("ctapipe_io_magic")

SEED = 316
DURATION_S = 6.0
PLANS = programme(SEED, duration_s=DURATION_S)
PLAN = next(plan for plan in PLANS if plan.source == "CrabNebula" and plan.zd_low_deg == 24.0)
PAIR = montecarlo.production()[0]

# The reader's own: files it does not close, deprecated calls of its libraries.
pytestmark = [pytest.mark.filterwarnings("ignore")]


def open_source(path, **options):
    from ctapipe_io_magic import MAGICEventSource

    return MAGICEventSource(input_url=path, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    nights.make_run(PLAN, PLANS, SEED, folder)
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mc")
    montecarlo.make_pair(PAIR, SEED, folder)
    return folder


def written(path):
    """What our own reader finds, event by event."""
    with CalibratedFile(path) as file:
        for chunk in file.chunks():
            for i in range(len(chunk)):
                yield chunk, i


@pytest.mark.parametrize("telescope", [1, 2])
def test_events_of_data_are_read_as_written(run, telescope):
    path = run / PLAN.file(telescope, 1).name
    showers = [(chunk, i) for chunk, i in written(path) if chunk.event["trigger"][i] == 128]
    with open_source(path, process_run=False) as source:
        assert source.is_stereo
        assert not source.is_simulation
        assert source.obs_ids == [PLAN.run]
        sampling_ghz = source.subarray.tel[telescope].camera.readout.sampling_rate.to_value("GHz")
        read = 0
        for event, (chunk, i) in zip(source, showers, strict=True):
            telescope_data = event.dl1.tel[telescope]
            np.testing.assert_allclose(telescope_data.image, chunk.charge_phe[i], atol=1e-6)
            np.testing.assert_allclose(telescope_data.peak_time, chunk.time_slices[i] / sampling_ghz, rtol=1e-5)
            assert event.index.event_id == chunk.event["stereo_number"][i]
            late = event.trigger.tel[telescope].time.mjd - chunk.mjd[i]
            assert abs(late) * 86_400e6 < 1.5  # microseconds: what a single float keeps of a date
            zd, az = altaz_of(PLAN.pointing_ra_deg, PLAN.pointing_dec_deg, chunk.mjd[i])
            assert event.pointing.tel[telescope].altitude.to_value("deg") == pytest.approx(90 - zd, abs=1e-5)
            assert event.pointing.tel[telescope].azimuth.to_value("deg") == pytest.approx(az, abs=1e-5)
            assert event.pointing.array_ra.to_value("deg") == pytest.approx(PLAN.pointing_ra_deg, abs=1e-6)
            assert event.pointing.array_dec.to_value("deg") == pytest.approx(PLAN.pointing_dec_deg, abs=1e-6)
            read += 1
        assert read == len(showers) > 50


def test_event_times_are_exact_to_the_tick(run):
    path = run / PLAN.file(1, 1).name
    showers = [(chunk, i) for chunk, i in written(path) if chunk.event["trigger"][i] == 128]
    with open_source(path, process_run=False) as source:
        for event, (chunk, i) in zip(source, showers, strict=True):
            read = event.trigger.time.to_value("unix", subfmt="decimal")
            days = int(chunk.event["mjd_day"][i]) - 40_587
            exact_ns = (days * 86_400_000 + int(chunk.event["milliseconds"][i])) * 1_000_000
            exact_ns += int(chunk.event["nanoseconds"][i])
            assert abs(round(read * 10**9) - exact_ns) <= 50


def test_pedestals_bad_pixels_and_headers_are_read_as_written(run):
    path = run / PLAN.file(2, 1).name
    pedestals = [(chunk, i) for chunk, i in written(path) if chunk.event["trigger"][i] == 8]
    with open_source(path, process_run=False, use_pedestals=True) as source:
        assert source.metadata["source_name"] == ["CrabNebula"]
        assert source.metadata["source_ra"][0].to_value("deg") == pytest.approx(PLAN.source_ra_deg, abs=0.005)
        assert source.metadata["source_dec"][0].to_value("deg") == pytest.approx(PLAN.source_dec_deg, abs=0.001)
        assert source.metadata["observation_mode"] == ["Wobble"]
        assert source.metadata["subrun_number"] == [1]
        assert source.laser
        with CalibratedFile(path) as ours:
            updates, bad = ours.pedestals, ours.bad_pixels
        for event, (chunk, i) in zip(source, pedestals, strict=True):
            np.testing.assert_allclose(event.dl1.tel[2].image, chunk.charge_phe[i], atol=1e-6)
            monitor = event.mon.tel[2]
            np.testing.assert_array_equal(monitor.pixel_status.hardware_failing_pixels[0], bad)
            np.testing.assert_allclose(monitor.pedestal.charge_mean[2], updates.mean_phe, atol=1e-6)
            np.testing.assert_allclose(monitor.pedestal.charge_std[2], updates.rms_phe, atol=1e-6)
    assert len(pedestals) > 50


def test_the_subruns_of_a_run_are_read_together(run):
    showers = [
        chunk.event["stereo_number"][i]
        for subrun in (1, 2)
        for chunk, i in written(run / PLAN.file(1, subrun).name)
        if chunk.event["trigger"][i] == 128
    ]
    with open_source(run / PLAN.file(1, 1).name, process_run=True) as source:
        assert source.metadata["subrun_number"] == [1, 2]
        assert [event.index.event_id for event in source] == showers


@pytest.mark.parametrize("telescope", [1, 2])
def test_monte_carlo_is_read_with_its_truth(simulated, telescope):
    path = simulated / PAIR.file(telescope).name
    stereo = [(chunk, i) for chunk, i in written(path) if chunk.event["stereo_number"][i] > 0]
    with open_source(path, process_run=False) as source:
        assert source.is_simulation
        assert source.is_stereo
        for event, (chunk, i) in zip(source, stereo, strict=True):
            np.testing.assert_allclose(event.dl1.tel[telescope].image, chunk.charge_phe[i], atol=1e-6)
            assert event.index.event_id == chunk.event["stereo_number"][i]
            shower = event.simulation.shower
            assert shower.energy.to_value("GeV") == pytest.approx(chunk.mc["energy_gev"][i], rel=1e-6)
            assert shower.alt.to_value("deg") == pytest.approx(90 - np.degrees(chunk.mc["theta_rad"][i]), abs=1e-4)
            difference = shower.az.to_value("deg") - corsika.azimuth_deg(chunk.mc["phi_rad"][i])
            assert np.cos(np.radians(difference)) == pytest.approx(1.0, abs=1e-10)
            east, north = corsika.core_from_corsika_m(chunk.mc["core_x_cm"][i], chunk.mc["core_y_cm"][i])
            assert shower.core_x.to_value("m") == pytest.approx(north, abs=0.01)
            assert shower.core_y.to_value("m") == pytest.approx(-east, abs=0.01)
            pointing = event.pointing.tel[telescope]
            assert pointing.altitude.to_value("deg") == pytest.approx(90 - chunk.pointing["zd_deg"][i], abs=1e-6)
            assert pointing.azimuth.to_value("deg") % 360 == pytest.approx(chunk.pointing["az_deg"][i], abs=1e-6)
    assert len(stereo) > 100


def test_the_simulation_header_is_read(simulated):
    shard = PAIR.shard
    begin, end = PAIR.showers
    with open_source(simulated / PAIR.file(1).name, process_run=False) as source:
        (header,) = source.simulation_config.values()
        assert header.n_showers == (end - begin) * shard.cores
        assert header.shower_reuse == 1
        assert header.spectral_index == pytest.approx(-shard.index)
        assert header.energy_range_min.to_value("GeV") == pytest.approx(shard.energy_gev[0])
        assert header.energy_range_max.to_value("GeV") == pytest.approx(shard.energy_gev[1])
        assert header.max_scatter_range.to_value("m") == pytest.approx(shard.radius_m)
        assert header.max_viewcone_radius.to_value("deg") == pytest.approx(0.4)
        assert header.max_alt.to_value("deg") == pytest.approx(90 - shard.zd_deg[0])
        assert header.min_alt.to_value("deg") == pytest.approx(90 - shard.zd_deg[1])
        assert header.prod_site_alt.to_value("m") == pytest.approx(2199)
