"""The view `completeness`: of each instrument and day, which share of the recorded time is proven."""

COMPLETENESS = """
WITH spans AS (
    SELECT instrument, id_space, min(first_ts) AS first, max(last_ts) AS last
    FROM ledger.public.coverage GROUP BY ALL
), days AS (
    SELECT instrument, id_space, first, last,
           unnest(generate_series(date_trunc('day', first), date_trunc('day', last), INTERVAL 1 DAY)) AS day
    FROM spans
), parts AS (
    SELECT instrument, id_space, day, greatest(day, first) AS begins, least(day + INTERVAL 1 DAY, last) AS ends
    FROM days
), covered AS (
    SELECT p.instrument, p.day,
           sum(epoch_us(least(c.last_ts, p.ends)) - epoch_us(greatest(c.first_ts, p.begins))) AS us
    FROM parts p JOIN ledger.public.coverage c USING (instrument, id_space)
    WHERE c.first_ts < p.ends AND c.last_ts > p.begins GROUP BY ALL
), holes AS (
    SELECT p.instrument, p.day,
           sum(epoch_us(least(g.before_ts, p.ends)) - epoch_us(greatest(g.after_ts, p.begins)))
               FILTER (g.state = 'repaired') AS us,
           count(*) FILTER (g.state = 'repaired') AS repaired,
           count(*) FILTER (g.state = 'open') AS open,
           count(*) FILTER (g.state = 'unfillable') AS unfillable
    FROM parts p JOIN ledger.public.gaps g USING (instrument, id_space)
    WHERE g.after_ts < p.ends AND g.before_ts > p.begins GROUP BY ALL
), shares AS (
    SELECT p.instrument, p.day, p.begins, p.ends,
           epoch_us(p.ends) - epoch_us(p.begins) AS span, coalesce(c.us, 0) AS had,
           least(coalesce(h.us, 0), coalesce(c.us, 0)) AS again,
           coalesce(h.repaired, 0) AS gaps_repaired, coalesce(h.open, 0) AS gaps_open,
           coalesce(h.unfillable, 0) AS gaps_unfillable
    FROM parts p LEFT JOIN covered c USING (instrument, day) LEFT JOIN holes h USING (instrument, day)
)
SELECT instrument, day::DATE AS day, begins AS first, ends AS last,
       coalesce((had - again) / nullif(span, 0), 1)::DOUBLE AS proven,
       coalesce(again / nullif(span, 0), 0)::DOUBLE AS repaired,
       coalesce((span - had) / nullif(span, 0), 0)::DOUBLE AS missing,
       gaps_repaired, gaps_open, gaps_unfillable
FROM shares
"""
